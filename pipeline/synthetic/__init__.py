"""The practice world: rendered people who do things, with exact labels, joints, boxes and flow.

Videos of textured, articulated people before moving backgrounds, made from seeds. Classes come in
pairs that share their poses and differ in order, direction or speed, so that only motion tells them
apart; the "test" domain looks unlike the "train" domain, whose backgrounds and passing things hint
at the class in three of four cases and mislead in the fourth.

    render_practice(Path("practice"))      # a folder of MP4s, labels.csv and truth
    frames, classes = sample_clip(seed)    # arrays, for training
    Scene(SceneSpec(seed=(1,))).flow(10)   # the truth about any frame
"""

from pipeline.synthetic.actions import ACTIONS, DEMO_ACTIONS, PRETRAIN_ACTIONS, Action, confusable_pairs
from pipeline.synthetic.clips import Clip, sample_clip, sample_clip_truth
from pipeline.synthetic.person import COCO_JOINTS
from pipeline.synthetic.practice import render_practice, truth_spec
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.script import Label
from pipeline.synthetic.spec import SceneSpec
from pipeline.synthetic.world import World

__all__ = [
    "ACTIONS",
    "COCO_JOINTS",
    "DEMO_ACTIONS",
    "PRETRAIN_ACTIONS",
    "Action",
    "Clip",
    "Label",
    "Scene",
    "SceneSpec",
    "World",
    "confusable_pairs",
    "render_practice",
    "sample_clip",
    "sample_clip_truth",
    "truth_spec",
]
