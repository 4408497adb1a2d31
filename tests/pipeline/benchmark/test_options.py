"""What does not go together is said before any work."""

from pathlib import Path

import pytest

from pipeline.benchmark.options import Options
from pipeline.inputs import UsageError
from pipeline.interchange.names import InterchangeError
from pipeline.protocols import ProtocolError

FEATURES = {
    "annotations": Path("labels.csv"),
    "folders": {"rgb": Path("rgb")},
    "layout": "td",
    "teachers": (),
}
VIDEOS = {"annotations": Path("labels.csv"), "videos": [Path("videos")]}


def options(name="folder", **values):
    return Options(name=name, out=Path("out"), **values)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (options("thumos"), "no benchmark 'thumos'; there is: charades, multithumos"),
        (options("charades", videos=[Path("v")]), r"needs its annotations.*charades.json"),
        (options("charades", annotations=Path("a")), "needs VIDEOS, or features made elsewhere"),
        (options(**VIDEOS, folders={"rgb": Path("rgb")}), "not both"),
        (options(**VIDEOS, layout="td"), "--layout is of features made elsewhere"),
        (options(**{**FEATURES, "layout": None}), "--features needs --layout: td, t11d, dt"),
        (options(**{**FEATURES, "folders": {"flow": Path("f")}}), "a folder of rgb is needed"),
        (options(**{**FEATURES, "teachers": ("flow",)}), "a folder of flow is needed"),
        (options(**{**FEATURES, "teachers": ("audio",)}), "audio"),
        (options(**{**FEATURES, "teachers": ("rgb",)}), "rgb is what the student sees"),
        (options("practice", videos=[Path("v")]), "practice makes its own videos"),
        (options("practice", folds=3), "--folds and --group-by are for `folder`"),
        (options(**FEATURES, seeds=0), "--seeds 0"),
        (options(**FEATURES, workers=0), "--workers 0"),
        (options(**FEATURES, samples=-1), "--samples -1"),
        (options(**FEATURES, group_by="("), "not a regular expression"),
    ],
)
def test_wrong_usage(given, message):
    with pytest.raises(UsageError, match=message):
        given.check()


def test_rules_of_others_have_their_own_messages():
    with pytest.raises(InterchangeError, match="expected even, pdan"):
        options(**FEATURES, steps="odd").check()
    with pytest.raises(ProtocolError, match="there is no protocol 'map'"):
        options(protocols=["map"]).judged_by()
    with pytest.raises(UsageError, match="has no preset 'charade'"):
        options(preset="charade").settings()


def test_teachers_are_those_of_the_folders_unless_said_otherwise():
    folders = {"rgb": Path("r"), "flow": Path("f"), "skeleton": Path("s")}
    assert options(folders=folders).taught_by() == ("flow", "skeleton")
    assert options(folders=folders, teachers=["skeleton"]).taught_by() == ("skeleton",)
    assert options("practice").taught_by() == ("flow", "skeleton")
    assert options("practice", teachers=[]).settings().teachers == ()


def test_what_is_asked_for_counts_for_more_than_the_benchmark():
    config = options("practice", overrides=["train.epochs=3"]).settings()
    assert (config.train.epochs, config.tcn.hidden, config.labels.validation_share) == (3, 128, 0.15)


def test_folds_are_of_a_folder_five_unless_said_otherwise():
    assert options().own_folds == 5
    assert options(folds=3).own_folds == 3
    assert options(folds=0).own_folds is None
    assert options("practice").own_folds is None
