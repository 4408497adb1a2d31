"""Rows by name: what they need, what they see, what is chosen of them."""

import pytest

from models.distillation import DistillationConfig
from pipeline.benchmark.rows import all_plans, choose_rows, closure, curve_rows, standard_rows
from pipeline.inputs import UsageError
from pipeline.plans import check_plans

BOTH = standard_rows(("flow", "skeleton"), DistillationConfig())


def test_the_names_are_the_standard_ones():
    assert list(BOTH) == [
        *("chance", "vanilla", "teacher-flow", "teacher-skeleton", "early-concat", "two-stream"),
        *("hinton", "mars", "crd", "graph-distillation", "ensemble"),
        *("atomic", "global", "boundary"),
        *("augmented-flow", "augmented-skeleton", "augmented"),
    ]
    one = standard_rows(("flow",), DistillationConfig())
    assert "augmented" in one
    assert "augmented-flow" not in one
    assert list(standard_rows((), DistillationConfig())) == ["chance", "vanilla"]


def test_what_a_row_sees_at_test():
    inputs = {name: row.inputs for name, row in BOTH.items()}
    for name in ("vanilla", "hinton", "mars", "crd", "graph-distillation", "atomic", "augmented"):
        assert inputs[name] == ("rgb",)
    assert inputs["teacher-skeleton"] == ("skeleton",)
    assert inputs["two-stream"] == inputs["early-concat"] == ("rgb", "flow", "skeleton")
    assert BOTH["two-stream"].models == ("vanilla", "teacher-flow", "teacher-skeleton")


def test_a_single_term_keeps_its_weight_and_the_others_are_off():
    base = DistillationConfig(atomic=2.0, global_relations=5.0, boundary=0.25)
    rows = standard_rows(("flow",), base)
    for name, field in (("atomic", "atomic"), ("global", "global_relations"), ("boundary", "boundary")):
        config = rows[name].plans[-1].distillation
        weights = {f: getattr(config, f) for f in ("atomic", "global_relations", "boundary")}
        assert weights == {f: getattr(base, f) if f == field else 0.0 for f in weights}
    assert rows["augmented"].plans[-1].distillation is None  # that of the run


def test_augmented_of_one_teacher_needs_no_other():
    assert [plan.name for plan in BOTH["augmented-flow"].plans] == ["teacher-flow", "augmented-flow"]


def test_plans_are_each_once_and_teachers_first():
    plans = all_plans(BOTH)
    check_plans(plans)
    assert len({plan.name for plan in plans}) == len(plans) == 15  # all rows but chance and two-stream
    last = closure(plans[-1], plans)
    check_plans(last)
    assert last[-1] is plans[-1]


def test_rows_are_chosen_by_name():
    assert list(choose_rows(BOTH, ["augmented", "vanilla"])) == ["vanilla", "augmented"]
    assert choose_rows(BOTH, None) == BOTH
    assert choose_rows(BOTH, ["none"]) == {}
    with pytest.raises(UsageError, match="no row 'augmentd'"):
        choose_rows(BOTH, ["augmentd"])


def test_a_label_curve_distils_with_and_without_unlabelled_videos():
    rows = curve_rows(("flow",))
    assert list(rows) == [
        "vanilla",
        "distilled-labelled",
        "distilled-all",
        "ensemble-all",
        "teacher-flow",
        "two-stream",
    ]
    assert rows["distilled-labelled"].plans[-1].unlabelled is False
    assert rows["distilled-all"].plans[-1].unlabelled is True
    assert list(curve_rows(())) == ["vanilla"]
