"""A modality of OUT as other toolboxes keep features, with the annotations and settings they need.

    TO/<modality>/<video>.npy     (T, D) float32 for OpenTAD and ActionFormer, (T, 1, 1, D) for PDAN
    TO/<modality>.yaml            settings, in the toolbox's own words
    TO/<modality>.facts.json      what each array is: whose, how many steps, when
    TO/annotations.json           where labels are known: ActivityNet-style; PDAN's {video: {subset, actions}}
    TO/classes.txt                and the classes, in the order of their ids

Times are seconds from the first frame, where these toolboxes begin to count. Their steps lie on a line: step
k of OpenTAD and ActionFormer is at (k * stride + window / 2) / fps. PDAN spreads T steps over the length of
the video: the length written for it is T times the step, so that this is right from beginning to end. How
far our steps are from where a toolbox takes them to be is in the facts; more than half a step is said.

Beware of ActionFormer's data set `thumos`: made for THUMOS14, it leaves out whatever has label_id 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import yaml

from pipeline.files import write_atomic, write_json
from pipeline.inputs import UsageError
from pipeline.interchange.feature_layouts import export_features
from pipeline.interchange.grids import EVEN, GridRule
from pipeline.interchange.stored_features import StoredFeatures, VideoSteps
from pipeline.task import Task

Toolbox = Literal["opentad", "actionformer", "pdan"]
TOOLBOXES: tuple[Toolbox, ...] = get_args(Toolbox)
_SUBSETS = {"validation": "training"}  # what we chose models by was labelled for training
_FAR_STEPS = 0.5


@dataclass(frozen=True)
class LineOfSteps:
    """Step k is at (k * stride + window / 2) / fps, numbers in frames: one line for all videos."""

    stride: int
    window: int

    @classmethod
    def fit(cls, steps: Mapping[str, VideoSteps]) -> "LineOfSteps":
        """The line of most videos. A frame is taken to last from its time to the next one's."""
        first = [2 * each.center_sec_T[0] * each.fps + 1 for each in steps.values()]
        window = max(1, round(float(np.median(first))))
        strides = [
            float(np.median(np.diff(each.center_sec_T))) * each.fps
            for each in steps.values()
            if len(each.center_sec_T) > 1
        ]
        return cls(max(1, round(float(np.median(strides)))) if strides else window, window)

    def step_sec(self, steps: VideoSteps) -> float:
        """From step to step."""
        return self.stride / steps.fps

    def off_steps(self, steps: VideoSteps, toolbox: Toolbox) -> float:
        """The furthest one of our steps is from where the toolbox takes it to be, in steps."""
        count, step_sec = len(steps.center_sec_T), self.step_sec(steps)
        rule = EVEN if toolbox == "pdan" else GridRule("actionformer", self.stride, self.window)
        there_T = rule.centers_sec(count, count * step_sec, steps.fps)
        return round(float(np.abs(there_T - steps.center_sec_T).max() / step_sec), 6)


def export_toolbox(features: StoredFeatures, toolbox: Toolbox, to: Path, task: Task | None) -> list[str]:
    """Write it all; returns what a user should know, line by line.

    `task`, held against the videos' clocks, is what the labels say. InterchangeError where names collide or
    `to` holds other features; CacheError where features are not what their records say.
    """
    if toolbox not in TOOLBOXES:
        raise UsageError(f"features for {toolbox!r}; expected {', '.join(TOOLBOXES)}")
    modality, steps = features.modality, features.steps
    line = LineOfSteps.fit(steps)
    ids = export_features(features, to / modality, "t11d" if toolbox == "pdan" else "td")
    far = {video: line.off_steps(each, toolbox) for video, each in steps.items()}
    facts = {
        ids[video]: _facts(video, each, line, toolbox) | {"off_steps": far[video]}
        for video, each in steps.items()
    }
    classes = task.classes if task else ()
    settings = _settings(toolbox, line, modality, next(iter(steps.values())).dim, len(classes))
    text = yaml.safe_dump(settings, sort_keys=False)
    write_atomic(to / f"{modality}.yaml", lambda file: file.write(text.encode()))
    about = {
        "toolbox": toolbox,
        "features": features.folder.name,
        "stride": line.stride,
        "window": line.window,
    }
    write_json(to / f"{modality}.facts.json", {**about, "videos": facts})
    if task:
        write_json(to / "annotations.json", _annotations(toolbox, task, ids, steps, line))
        names = "".join(f"{label}\n" for label in classes).encode()
        write_atomic(to / "classes.txt", lambda file: file.write(names))
    return _remarks(features, line, task, far)


def _facts(video: str, steps: VideoSteps, line: LineOfSteps, toolbox: Toolbox) -> dict[str, Any]:
    return {
        "video": video,
        "steps": len(steps.center_sec_T),
        "dim": steps.dim,
        "duration_sec": _duration_sec(steps, line, toolbox),
        "fps": steps.fps,
        "start_sec": steps.clock.start_sec,  # of the first frame on the player's clock
        "partial": steps.partial,
    }


def _duration_sec(steps: VideoSteps, line: LineOfSteps, toolbox: Toolbox) -> float:
    if toolbox == "pdan":
        return len(steps.center_sec_T) * line.step_sec(steps)
    return steps.clock.duration_sec


def _settings(toolbox: Toolbox, line: LineOfSteps, modality: str, dim: int, classes: int) -> dict[str, Any]:
    if toolbox == "opentad":
        return {
            "ann_file": "annotations.json",
            "class_map": "classes.txt",
            "data_path": modality,
            "feat_format": "npy",
            "in_channels": dim,
            "feature_stride": line.stride,
            "sample_stride": 1,
            "offset_frames": line.window // 2,
        }
    if toolbox == "actionformer":
        dataset = {
            "json_file": "annotations.json",
            "feat_folder": modality,
            "file_prefix": None,
            "file_ext": ".npy",
            "num_classes": classes,
            "input_dim": dim,
            "feat_stride": line.stride,
            "num_frames": line.window,
            "default_fps": None,  # the annotations have one for each video
        }
        return {"train_split": ["training"], "val_split": ["testing"], "dataset": dataset}
    return {"split_file": "annotations.json", "root": modality, "input_dim": dim, "num_classes": classes}


def _annotations(
    toolbox: Toolbox, task: Task, ids: Mapping[str, str], steps: Mapping[str, VideoSteps], line: LineOfSteps
) -> dict[str, Any]:
    entries = {}
    for video, name in ids.items():
        duration_sec = _duration_sec(steps[video], line, toolbox)
        subset = task.subset(video)
        entry: dict[str, Any] = {"subset": _SUBSETS.get(subset, subset), "duration": duration_sec}
        actions = _actions(task, video, steps[video].clock.start_sec)
        if toolbox == "pdan":
            entries[name] = {**entry, "actions": [list(action) for action in actions]}
            continue
        fps = steps[video].fps
        annotations = [
            {"segment": [start, end], "label": task.classes[k], "label_id": k} for k, start, end in actions
        ]
        frames = round(duration_sec * fps)
        entries[name] = {**entry, "fps": fps, "frame": frames, "annotations": annotations}
    return entries if toolbox == "pdan" else {"version": "augrgb", "database": entries}


def _actions(task: Task, video: str, start_sec: float) -> list[tuple[int, float, float]]:
    """(class id, start, end) in seconds from the first frame."""
    return [
        (task.classes.index(i.label), max(0.0, i.start_sec - start_sec), i.end_sec - start_sec)
        for i in task.intervals.get(video, ())
    ]


def _remarks(
    features: StoredFeatures, line: LineOfSteps, task: Task | None, far: Mapping[str, float]
) -> list[str]:
    lines = [
        f"{len(features)} videos of {features.folder.name}: a step every {line.stride} frames, the first "
        f"in the middle of {line.window}"
    ]
    lines.append(task.split.describe() if task else "no labels known: no annotations.json written")
    if off := {video: steps for video, steps in far.items() if steps > _FAR_STEPS}:
        video = max(off, key=off.__getitem__)
        lines.append(
            f"steps of {len(off)} videos are more than {_FAR_STEPS} steps from where the toolbox takes them "
            f"to be, at most {off[video]:.1f}, in {video}; see off_steps in the facts"
        )
    if partial := [video for video, each in features.steps.items() if each.partial]:
        lines.append(f"{len(partial)} videos were decoded in part, such as {partial[0]}")
    return lines
