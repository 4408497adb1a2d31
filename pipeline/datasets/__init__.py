"""Annotation files of data sets to `Annotations`: `load_annotations` finds out by content which it is.

| file given                              | data set                          | read beside it              |
|-----------------------------------------|-----------------------------------|-----------------------------|
| CSV video,start,end,label[,subset]      | the project's own                 |                             |
| ActivityNet-style JSON                  | THUMOS14 (`thumos14`), any other  |                             |
|                                         | (`activitynet`)                   |                             |
| JSON {video: {subset,duration,actions}} | `charades`                        | Charades_v1_classes.txt     |
|                                         | `multithumos`                     | class_list.txt              |
|                                         | `tsu-cs`, `tsu-cv`                | Action_list                 |
| Charades_v1_train.csv or .._test.csv    | `charades`                        | the other one, and classes  |
| cross-subject.txt or cross-view.txt     | `pku-mmd-cs`, `pku-mmd-cv`        | folder *label*, Actions.xlsx|

One path always says it all: where a data set has several files or protocols, the file that holds the split
is given and the rest is looked for beside it. Class names come from the data set's own list where that
lies beside the file, else classes are named by their official ids; either way they keep the official order.

Times become seconds on the player's clock (PKU-MMD and TSU count frames, see there). Subsets become training,
testing and unlabelled; where a file says otherwise, a remark tells how it was read. What is odd about a
file (`review`) is counted and said, and nothing is left out here: intervals that end before they start or
after the video are dealt with against the real videos, by the rules of `label_lint`.
"""

from pipeline.datasets.load import load_annotations
from pipeline.datasets.review import review

__all__ = ["load_annotations", "review"]
