"""Which models are trained, in order: what each sees, who teaches it, and how."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models import METHODS, Method
from models.distillation import DistillationConfig
from pipeline.config import RunConfig
from pipeline.recipe import RGB

VANILLA = "vanilla"  # RGB alone, no teacher
STUDENT = "student"  # RGB alone, taught by the teachers
_TEACHER = "teacher-"


@dataclass(frozen=True)
class ModelPlan:
    """One model to be trained.

    Several inputs are early concatenation: features joined on the D axis, of the same steps. Teachers are
    plans that come before it; what it learns from each is shown under its name without "teacher-".
    """

    name: str  # also of its checkpoint's file
    inputs: tuple[str, ...]  # modalities
    teachers: tuple[str, ...] = ()
    method: Method = "augmented"  # how teachers teach
    distillation: DistillationConfig | None = None  # of "augmented"; none: that of the run
    unlabelled: bool | None = None  # unlabelled videos join the distillation; none: as the run says

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w+@-]+", self.name):
            raise ValueError(f"a model's name is letters, digits, _, -, + and @, got {self.name!r}")
        if not self.inputs or len({*self.inputs}) < len(self.inputs):
            raise ValueError(f"{self.name}: needs inputs, each once, got {self.inputs}")
        if self.method not in METHODS:
            raise ValueError(f"{self.name}: unknown method {self.method!r}; there is: {', '.join(METHODS)}")
        if len(self.subjects) < len(self.teachers):
            raise ValueError(f"{self.name}: two teachers of one name among {self.teachers}")

    @property
    def subjects(self) -> dict[str, str]:
        """Its teachers' plans by the names under which their losses are shown."""
        return {name.removeprefix(_TEACHER): name for name in self.teachers}

    def settings(self, config: RunConfig) -> RunConfig:
        """The run's settings, and what this plan says otherwise."""
        if not self.teachers:
            return config
        unlabelled = config.distill_unlabelled if self.unlabelled is None else self.unlabelled
        return replace(
            config,
            method=self.method,
            distillation=self.distillation or config.distillation,
            distill_unlabelled=unlabelled,
        )


def teacher_name(modality: str) -> str:
    """The model trained on one teacher modality."""
    return f"{_TEACHER}{modality}"


def run_plans(config: RunConfig) -> list[ModelPlan]:
    """What a run trains: vanilla, teachers, and the student they teach; the last one scores."""
    teachers = [ModelPlan(teacher_name(modality), (modality,)) for modality in config.teachers]
    plans = [ModelPlan(VANILLA, (RGB,)), *teachers]
    if teachers:
        plans.append(student(STUDENT, [teacher.name for teacher in teachers], config.method))
    return plans


def student(
    name: str, teachers: Sequence[str], method: Method = "augmented", *, unlabelled: bool | None = None
) -> ModelPlan:
    """A model of RGB taught by these; by the method "ensemble", vanilla is one of them."""
    taught_by = (VANILLA, *teachers) if method == "ensemble" else tuple(teachers)
    return ModelPlan(name, (RGB,), taught_by, method, unlabelled=unlabelled)


def check_plans(plans: Sequence[ModelPlan]) -> None:
    """ValueError for two of one name, or for a teacher that is not trained before its student."""
    before: set[str] = set()
    for plan in plans:
        if plan.name in before:
            raise ValueError(f"two models are called {plan.name!r}")
        if late := [name for name in plan.teachers if name not in before]:
            raise ValueError(f"{plan.name}: its teachers {', '.join(late)} have to be trained before it")
        before.add(plan.name)


def all_inputs(plans: Sequence[ModelPlan]) -> tuple[str, ...]:
    """Every modality that some model sees, each once."""
    return tuple(dict.fromkeys(name for plan in plans for name in plan.inputs))
