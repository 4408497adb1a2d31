"""The models of a run, and the rows of its table: each model, and several whose logits are averaged."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.checkpoint import Checkpoint
from pipeline.plans import STUDENT
from pipeline.scoring import Scorer

TWO_STREAM = "two-stream"


@dataclass(frozen=True)
class Lineup:
    """Checkpoints by name, in the order they were trained."""

    models: Mapping[str, Checkpoint]

    @property
    def final(self) -> str:
        """The model whose scores are the result: the last one, the student where there is one."""
        return list(self.models)[-1]

    @cached_property
    def scorers(self) -> dict[str, Scorer]:
        """Every row, the final one last: each model, and the mean of the logits of vanilla and teachers."""
        scorers = {name: Scorer(name, (model,)) for name, model in self.models.items()}
        streams = tuple(model for name, model in self.models.items() if name != STUDENT)
        if len(streams) > 1:
            scorers[TWO_STREAM] = Scorer(TWO_STREAM, streams)
            scorers[self.final] = scorers.pop(self.final)
        return scorers

    def folder(self, name: str) -> str:
        """Where the scores of a row are kept, below OUT."""
        return "scores" if name == self.final else f"model_scores/{name}"
