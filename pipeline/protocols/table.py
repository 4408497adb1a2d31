"""Every protocol under its name, and which of them a data set is published by."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pipeline.protocols.case import Case, Judgement, ProtocolError
from pipeline.protocols.charades import localize_points
from pipeline.protocols.conditional import FIGURES, TAUS, conditional
from pipeline.protocols.frames import frame_points, step_points
from pipeline.protocols.grid import grid_points, sampled_points
from pipeline.protocols.pku import THETAS, EventMap
from pipeline.protocols.segments import RANGES, SegmentMap

Judge = Callable[[str, Case], Judgement]

# every name there is, in the order of printing
PROTOCOLS: Mapping[str, Judge] = {
    "frame_map/all": frame_points,
    "frame_map/all_classes": partial(frame_points, mean="every"),
    "step_map/all": step_points,
    "charades_localize_25": localize_points,
    "charades_localize_25/weighted": partial(localize_points, mean="weighted"),
    "sampled_25": sampled_points,
    "grid_map/all": grid_points,
    "grid_map/all_classes": partial(grid_points, mean="every"),
    **{
        f"action_conditional/tau{tau}/{figure}": partial(conditional, tau=tau, figure=figure)
        for tau in TAUS
        for figure in FIGURES
    },
    **{f"event_map/action@{theta}": partial(EventMap, theta=theta, by="action") for theta in THETAS},
    **{f"event_map/video@{theta}": partial(EventMap, theta=theta, by="video") for theta in THETAS},
    **{f"segment_map@{name}": partial(SegmentMap, thresholds=range_) for name, range_ in RANGES.items()},
}
DEFAULT = ("frame_map/all",)

_EVENT_MAPS = tuple(f"event_map/{by}@{theta}" for by in ("action", "video") for theta in (0.1, 0.3, 0.5))
# what the published figures of a data set are by, its main protocol first; by `Annotations.dataset`
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "charades": ("charades_localize_25", "charades_localize_25/weighted", "grid_map/all", "sampled_25"),
    "multithumos": ("grid_map/all", "segment_map@0.1:0.9"),
    "thumos14": ("segment_map@0.3:0.7",),
    "activitynet": ("segment_map@0.5:0.95",),
    "pku-mmd": _EVENT_MAPS,
    "tsu": ("grid_map/all", *_EVENT_MAPS),
}


def defaults(dataset: str) -> tuple[str, ...]:
    """Protocols of a data set by its parser's name (pku-mmd-cs is pku-mmd), and frame mAP beside them."""
    own = next(
        (names for name, names in DEFAULTS.items() if dataset in (name, f"{name}-cs", f"{name}-cv")), ()
    )
    return tuple(dict.fromkeys((*own, *DEFAULT)))


def resolve(names: Sequence[str]) -> tuple[str, ...]:
    """Protocols meant by names, or by the beginning of several's (`event_map`, `action_conditional/tau0`)."""
    found: list[str] = []
    for name in names:
        hits = [p for p in PROTOCOLS if p == name] or [
            p for p in PROTOCOLS if p.startswith((f"{name}/", f"{name}@"))
        ]
        if not hits:
            raise ProtocolError(f"there is no protocol {name!r}; there is: {', '.join(PROTOCOLS)}")
        found += hits
    return tuple(dict.fromkeys(found))
