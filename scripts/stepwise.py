"""A training loop that may be killed at any step and goes on to the same weights."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """AdamW with one cycle of the learning rate."""

    steps: int
    batch: int
    lr: float
    weight_decay: float = 0.05
    seed: int = 0


def run(
    model: nn.Module,
    loss: Callable[[int], dict[str, Tensor]],
    recipe: Recipe,
    checkpoint: Path,
    save_every: int = 200,
) -> list[dict[str, float]]:
    """Take all steps, from the last one saved in `checkpoint`; the mean of each loss term per `save_every`.

    `loss(step)` gives the terms, whose sum is minimised; it must depend on nothing but the step and
    the model. ValueError where the checkpoint is of another recipe.
    """
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=recipe.steps, pct_start=0.1
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    history = _restore(checkpoint, recipe, parts)
    terms: list[dict[str, float]] = []
    started = time.monotonic()
    model.train()
    for step in range(len(history) * save_every, recipe.steps):
        torch.manual_seed(recipe.seed * recipe.steps + step)
        parts_of_loss = loss(step)
        optimizer.zero_grad()
        torch.stack(list(parts_of_loss.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        terms.append({name: float(value.detach()) for name, value in parts_of_loss.items()})
        if (step + 1) % save_every == 0:
            history.append({name: float(np.mean([t[name] for t in terms])) for name in terms[0]})
            terms.clear()
            _save(checkpoint, recipe, parts, history)
            pace = (time.monotonic() - started) / save_every
            started = time.monotonic()
            shown = ", ".join(f"{name} {value:.4f}" for name, value in history[-1].items())
            logger.info("step %d/%d: %s, %.3f s a step", step + 1, recipe.steps, shown, pace)
    return history


def _restore(path: Path, recipe: Recipe, parts: dict[str, Any]) -> list[dict[str, float]]:
    """Put the saved state into `parts`; the history so far, empty without a file."""
    if not path.exists():
        return []
    saved = torch.load(path, weights_only=True)
    if saved["recipe"] != asdict(recipe):
        raise ValueError(f"{path} was trained with {saved['recipe']}; use another --work, or these settings")
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    logger.info("going on from %s", path)
    return saved["history"]


def _save(path: Path, recipe: Recipe, parts: dict[str, Any], history: list[dict[str, float]]) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    temporary = path.with_suffix(".tmp")
    torch.save({"recipe": asdict(recipe), "history": history, **state}, temporary)
    temporary.replace(path)
