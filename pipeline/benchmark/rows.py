"""Rows of a benchmark's table by their standard names: the models each needs, whose logits it averages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models import Method
from models.distillation import DistillationConfig
from pipeline.inputs import UsageError
from pipeline.plans import ModelPlan, student
from pipeline.recipe import RGB

CHANCE = "chance"
VANILLA = "vanilla"
TWO_STREAM = "two-stream"
AUGMENTED = "augmented"
# of a label curve: what a student learns from, by which method, and whether from unlabelled videos, too
_DISTILLED: Mapping[str, tuple[str, Method, bool]] = {
    "distilled-labelled": ("distilled on the labelled videos", "augmented", False),
    "distilled-all": ("distilled on all videos, the rest of them unlabelled", "augmented", True),
    "ensemble-all": ("the two-stream mean as soft labels of all videos", "ensemble", True),
}
NO_ROWS = "none"

_RIVALS: Mapping[str, tuple[Method, str]] = {
    "hinton": ("hinton", "logits of the teachers as soft targets (Hinton et al., 2015)"),
    "mars": ("mars", "features of the teachers by mean squared error (MARS, CVPR 2019)"),
    "crd": ("crd", "contrast of representations with a bank (CRD, ICLR 2020)"),
    "graph-distillation": ("graph", "logits and representations, after Graph Distillation (ECCV 2018)"),
    "ensemble": ("ensemble", "the two-stream mean as soft labels"),
}
_ALONE = {"atomic": "atomic", "global": "global_relations", "boundary": "boundary"}


@dataclass(frozen=True)
class Row:
    """One row: `plans` are all models it needs, in the order of training; `models` those that score."""

    name: str
    what: str
    plans: tuple[ModelPlan, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Modalities needed at test."""
        of = {plan.name: plan.inputs for plan in self.plans}
        return tuple(dict.fromkeys(modality for name in self.models for modality in of[name]))


def standard_rows(teachers: Sequence[str], distillation: DistillationConfig) -> dict[str, Row]:
    """Every row there is for these teacher modalities, in the order of the table."""
    streams = _streams(teachers)
    names = tuple(plan.name for plan in streams[1:])
    said = " and ".join(teachers)
    rows = [Row(CHANCE, "what random scores get: the prevalence of the classes"), *_baselines(teachers)]
    if not teachers:
        return {row.name: row for row in rows}
    for name, (method, what) in _RIVALS.items():
        rows.append(_student(student(name, names, method), streams, what))
    for name, term in _ALONE.items():
        alone = replace(distillation, **{t: getattr(distillation, t) * (t == term) for t in _ALONE.values()})
        plan = ModelPlan(name, (RGB,), names, distillation=alone)
        rows.append(_student(plan, streams, f"{name.capitalize()} alone, taught by {said}"))
    if len(teachers) > 1:
        for modality, own in zip(teachers, names, strict=True):
            plan = ModelPlan(f"{AUGMENTED}-{modality}", (RGB,), (own,))
            rows.append(_student(plan, streams, f"all three terms, taught by {modality}"))
    rows.append(_student(ModelPlan(AUGMENTED, (RGB,), names), streams, f"all three terms, taught by {said}"))
    return {row.name: row for row in rows}


def curve_rows(teachers: Sequence[str]) -> dict[str, Row]:
    """Rows of a label curve: what few labels give, and what unlabelled videos add."""
    streams = _streams(teachers)
    names = tuple(plan.name for plan in streams[1:])
    baselines = {row.name: row for row in _baselines(teachers) if row.name != "early-concat"}
    students = {
        name: _student(student(name, names, method, unlabelled=all_videos), streams, what)
        for name, (what, method, all_videos) in _DISTILLED.items()
    }
    vanilla = {VANILLA: baselines.pop(VANILLA)}
    return {**vanilla, **(students if teachers else {}), **baselines}


def choose_rows(rows: Mapping[str, Row], wanted: Sequence[str] | None) -> dict[str, Row]:
    """Those asked for, in the order of the table; UsageError for a name that there is not."""
    if wanted is None:
        return dict(rows)
    if list(wanted) == [NO_ROWS]:
        return {}
    if unknown := [name for name in wanted if name not in rows]:
        raise UsageError(
            f"no row {unknown[0]!r}; with these teachers there is: {', '.join(rows)}, or {NO_ROWS}"
        )
    return {name: row for name, row in rows.items() if name in wanted}


def all_plans(rows: Mapping[str, Row]) -> list[ModelPlan]:
    """Every model that some row needs, once, teachers before those they teach."""
    plans = {plan.name: plan for row in rows.values() for plan in row.plans}
    return sorted(plans.values(), key=lambda plan: bool(plan.teachers))


def closure(plan: ModelPlan, plans: Sequence[ModelPlan]) -> tuple[ModelPlan, ...]:
    """A model and those that teach it, itself last."""
    return (*(teacher for teacher in plans if teacher.name in plan.teachers), plan)


def _streams(teachers: Sequence[str]) -> list[ModelPlan]:
    """One model for each modality, RGB first."""
    return [ModelPlan(VANILLA, (RGB,)), *(ModelPlan(f"teacher-{m}", (m,)) for m in teachers)]


def _baselines(teachers: Sequence[str]) -> list[Row]:
    """Models that learn from labels alone."""
    streams = _streams(teachers)
    names = tuple(plan.name for plan in streams)
    rows = [Row(VANILLA, "RGB alone, labels alone", (streams[0],), (VANILLA,))]
    rows += [Row(p.name, f"sees {p.inputs[0]}, also at test", (p,), (p.name,)) for p in streams[1:]]
    if teachers:
        seen = (RGB, *teachers)
        both = ModelPlan("early-concat", seen)
        rows.append(Row(both.name, f"one model of joined features: {', '.join(seen)}", (both,), (both.name,)))
        rows.append(Row(TWO_STREAM, f"mean of the logits of {', '.join(names)}", tuple(streams), names))
    return rows


def _student(plan: ModelPlan, streams: Sequence[ModelPlan], what: str) -> Row:
    return Row(plan.name, what, closure(plan, streams), (plan.name,))
