"""`augrgb verify`: cached products held against their records, and against what their videos give once more.

Of every product key, `data_sha256`, shape and finiteness are checked, of score files and checkpoints their
seals. Then some rows of every feature file, drawn at random, are made again: of rgb and flow from the video,
of skeletons from the joints that are kept. Nothing in OUT is written.

What cannot be made again (the video or the weights are others now, or gone) is a finding, too: nobody can
say that it is right.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extractors.base import Extractor, Grid
from pipeline.cache import CacheError, JointFile
from pipeline.config import RunConfig, load_config
from pipeline.files import digest, file_sha256
from pipeline.inputs import Source, UsageError
from pipeline.job import saved_sources
from pipeline.progress import Progress
from pipeline.recipe import SKELETON
from pipeline.recompute import rebuild, row_stream
from pipeline.stored import Finding, StoredFeatures, take_inventory
from pipeline.streams import run_streams
from pipeline.timeline import Clock, centers_sec
from pipeline.video import DecodePolicy, VideoError, VideoStream, decode

# Largest difference of a row's numbers, in units of its largest: rounding, which goes by batches, threads
# and libraries. Flow is rounded to steps on the way, so that a last bit can become a step.
TOLERANCE = {"rgb": 1e-4, "flow": 1e-3, SKELETON: 1e-4}
LOOSE = (
    3e-2  # the same for half precision, and between a CPU and a GPU, whose resizing differs by a grey level
)


@dataclass
class Checked:
    """What was looked at in one folder of products."""

    files: int = 0
    rows: int = 0  # of features that are what their records say
    recomputed: int = 0  # of those rows
    largest: float = 0.0  # difference found
    tolerance: float = 0.0


@dataclass
class Verification:
    """The outcome, by folder below OUT, and everything that was wrong."""

    folders: dict[str, Checked] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def verify(
    out: Path,
    *,
    sources: Sequence[Source] = (),
    windows: int | None = 4,
    seed: int = 0,
    tolerance: float | None = None,
    device: torch.device,
    progress: Progress,
) -> Verification:
    """Check all products in OUT, and `windows` rows of every feature file (None: all) against its source.

    `sources` are the videos, by default those of the run that made OUT. The rows drawn depend on `seed` and
    on the video's name alone. Without a `tolerance`: see TOLERANCE and LOOSE. UsageError where OUT is not
    the folder of a run.
    """
    if not (out / "run.json").is_file():
        raise UsageError(f"{out}: no run.json; expected the folder of results of an earlier run")
    if windows is not None and windows < 1:
        raise UsageError(f"at least one window per video, got {windows}")
    paths = {source.name: source.path for source in sources or saved_sources(out)}
    work = _Work(out, load_config(None, out / "run.json"), paths, windows, seed, tolerance, device)
    inventory = take_inventory(out)
    if not inventory.files:
        raise UsageError(f"{out}: holds no features; run extract first")
    work.outcome.findings += inventory.findings
    work.outcome.folders = {folder: Checked(files=count) for folder, count in inventory.files.items()}
    by_video: dict[str, list[StoredFeatures]] = defaultdict(list)
    for one in inventory.features:
        work.outcome.folders[one.folder].rows += len(one.track.data_TD)
        by_video[one.video].append(one)
    with progress.bar("verify", len(by_video)) as bar:
        for video, products in by_video.items():
            work.recompute(products)
            bar.advance(video)
    return work.outcome


@dataclass
class _Work:
    """What one verification knows on its way."""

    out: Path
    config: RunConfig
    paths: Mapping[str, Path]
    windows: int | None
    seed: int
    tolerance: float | None
    device: torch.device
    outcome: Verification = field(default_factory=Verification)
    networks: dict[str, Any] = field(default_factory=dict)  # by folder: a network, or why there is none

    def find(
        self, one: StoredFeatures, problem: str, row: int | None = None, by: float | None = None
    ) -> None:
        """One more finding."""
        self.outcome.findings.append(Finding(one.file, problem, row, by))

    def recompute(self, products: Sequence[StoredFeatures]) -> None:
        """Make rows of all features of one video again: one decode for all that were made of one."""
        from_frames: dict[str, list[tuple[StoredFeatures, Extractor]]] = defaultdict(list)
        for one in products:
            network = self._network(one)
            if isinstance(network, str):
                self.find(one, network)
            elif one.modality == SKELETON:
                self._from_joints(one, network)
            elif problem := self._source_problem(one):
                self.find(one, problem)
            else:
                from_frames[digest([one.record["decode"], one.record["partial"]])].append((one, network))
        for group in from_frames.values():
            self._from_frames(group)

    def _source_problem(self, one: StoredFeatures) -> str | None:
        path = self.paths.get(one.video)
        if path is None:
            return f"its video {one.video!r} is none of the run's; name the videos: augrgb verify OUT VIDEOS"
        try:
            sha256 = file_sha256(path)
        except OSError as error:
            return f"its video {path} cannot be read ({error.strerror})"
        if sha256 == one.record["video"]["sha256"]:
            return None
        return f"its video {path} has another content than when they were made; extract again"

    def _from_frames(self, group: Sequence[tuple[StoredFeatures, Extractor]]) -> None:
        """Rows of features that were made from the same frames."""
        record, work = group[0][0].record, self.config.work
        batch = {"dense_frames": work.dense_frames, **record["batch"]}

        def consume(frames: VideoStream) -> list[np.ndarray]:
            streams = [
                row_stream(extractor, frames.num_sampled, self._rows(one), batch)
                for one, extractor in group
                if extractor.grid.count(frames.num_sampled) == len(one.track.data_TD)
            ]
            return run_streams(frames, streams, device=self.device, chunk_frames=batch["frames"])

        policy = DecodePolicy(record["decode"]["decoder"], "keep" if record["partial"] else "fail")
        try:
            made, decoded = decode(
                self.paths[group[0][0].video],
                consume,
                fps=record["decode"]["fps"],
                policy=policy,
                limits=work.limits,
            )
        except VideoError as error:
            for one, _ in group:
                self.find(one, f"its video cannot be decoded as it was: {error}")
            return
        rows = iter(made)
        for one, extractor in group:
            if self._same_times(one, extractor.grid, decoded.num_sampled, decoded.meta.clock):
                self._compare(one, next(rows))

    def _from_joints(self, one: StoredFeatures, network: Any) -> None:
        from extractors.skeleton import Windows

        made_of = one.record["extractor"]["joints"], one.record["decode"]
        try:
            file = JointFile.locate(self.out, one.video, one.record["video"]["sha256"], *made_of)
            track, record = file.load()
        except CacheError as error:
            self.find(one, f"the joints it was made of: {error}")
            return
        if record["data_sha256"] != one.record["joints_sha256"]:
            self.find(one, "made of other joints than those that are kept; delete it or run extract again")
        elif self._same_times(one, network.grid, track.joints.num_frames, track.clock):
            windows = Windows(track.joints, network.config)
            clips = [windows.clips(slice(row, row + 1)) for row in self._rows(one).tolist()]
            self._compare(one, network.clips(torch.from_numpy(np.concatenate(clips))).float().cpu().numpy())

    def _rows(self, one: StoredFeatures) -> np.ndarray:
        """Numbers of the rows to make, in order: the same for every modality of a video with as many rows."""
        count = len(one.track.data_TD)
        if self.windows is None or self.windows >= count:
            return np.arange(count)
        draw = np.random.default_rng([self.seed, int(digest(one.video)[:12], 16)])
        return np.sort(draw.choice(count, self.windows, replace=False))

    def _same_times(self, one: StoredFeatures, grid: Grid, num_sampled: int, clock: Clock) -> bool:
        """Counts and times of the record against those of the source; whether there are as many rows."""
        stored, rows = one.track, grid.count(num_sampled)
        if rows != len(stored.data_TD) or num_sampled != one.record["S"]:
            found = f"{len(stored.data_TD)} rows of {one.record['S']} sampled frames"
            self.find(one, f"{found}, but its source gives {rows} rows of {num_sampled}")
            return rows == len(stored.data_TD)
        if clock.to_json() != stored.clock.to_json():
            self.find(one, "the clock in its record is not that of its source")
        centers_T = centers_sec(grid, num_sampled, clock, one.record["decode"]["fps"])
        if not np.allclose(stored.center_sec_T, centers_T, rtol=0, atol=1e-6):
            self.find(one, "the centres in its record are not those of its windows")
        return True

    def _compare(self, one: StoredFeatures, made_KD: np.ndarray) -> None:
        checked, allowed = self.outcome.folders[one.folder], self._tolerance(one)
        checked.tolerance = max(checked.tolerance, allowed)
        for row, made_D in zip(self._rows(one).tolist(), made_KD, strict=True):
            difference = relative_difference(one.track.data_TD[row], made_D)
            checked.recomputed += 1
            checked.largest = max(checked.largest, difference)
            if not difference <= allowed:
                found = f"is {difference:.1e} of its largest number away from what its source gives"
                at = f"at {one.track.center_sec_T[row]:.2f} s"
                self.find(one, f"{at} {found}; allowed {allowed:.0e}", row, difference)

    def _tolerance(self, one: StoredFeatures) -> float:
        if self.tolerance is not None:
            return self.tolerance
        halved = "float16" in json.dumps(one.record["extractor"])
        elsewhere = not one.record["device"].startswith(self.device.type)
        return LOOSE if halved or elsewhere else TOLERANCE[one.modality]

    def _network(self, one: StoredFeatures) -> Any:
        """The network that made a folder's features; in words why there is none."""
        if one.folder not in self.networks:
            self.networks[one.folder] = rebuild(self.config, one.record["extractor"], self.device)
        return self.networks[one.folder]


def relative_difference(one_D: np.ndarray, other_D: np.ndarray) -> float:
    """Largest difference in units of the largest number of both; 0 of two zero vectors."""
    largest = max(np.abs(one_D).max(), np.abs(other_D).max())
    return float(np.abs(one_D - other_D).max() / largest) if largest > 0 else 0.0
