"""From times to figures: rates, ratios, shares, and what bounds each stage."""

import os
from collections.abc import Iterable, Iterator

import torch

from pipeline.recipe import RGB
from pipeline.speed.arithmetic import Work, work
from pipeline.speed.decoding import DecoderBench
from pipeline.speed.report import (
    HOURS_FPS,
    Figure,
    Material,
    NetworkRow,
    PathRow,
    Peaks,
    PrecisionReport,
    StageRow,
)
from pipeline.speed.scaling import Scaling
from pipeline.speed.workbench import ALL, GRAPH_STAGE, SCORE, Stage, Workbench

_DECODES_NOTHING = (GRAPH_STAGE, SCORE)
_GOOD = 0.9  # of a ratio: the goal
_BOUND = 0.3  # of a device's peak: less, and neither arithmetic nor memory is what holds it up


def precision_report(
    name: str, bench: Workbench, decoder: DecoderBench, scaling: Scaling, peaks: Peaks
) -> PrecisionReport:
    """All rounds of one precision."""
    material, stages = decoder.material, bench.stages
    return PrecisionReport(
        precision=name,
        peaks=peaks,
        stages=tuple(_stage(stage, decoder) for stage in stages.values()),
        networks=tuple(row for stage in stages.values() for row in _networks(stage, material, peaks)),
        paths=tuple(_paths(bench, material)),
        separate_by_together=_separate_by_together(bench),
        lengths=scaling.rows(many=False),
        counts=scaling.rows(many=True),
    )


def best_ratio(bare_sec: float, decoder_sec: float, decoder_cpu_sec: float, *, on_cpu: bool) -> float:
    """Pipeline / bare network if nothing ever waited: seconds of a frame each.

    Decoding goes on beside the network; on a CPU the two share the cores.
    """
    ideal_sec = max(bare_sec, decoder_sec)
    if on_cpu:
        cores = len(os.sched_getaffinity(0))
        threads = min(torch.get_num_threads(), cores)
        ideal_sec = max(ideal_sec, (threads * bare_sec + decoder_cpu_sec) / cores)
    return bare_sec / ideal_sec


def stage_bound(ratio: float, best: float, *, frames_late: bool) -> str:
    """What a stage's time goes to, in a word."""
    if ratio >= _GOOD:
        return "network"
    if frames_late:
        return "decoder"
    return "shared cores" if ratio >= _GOOD * best else "driver"


def network_bound(share_of_arithmetic: float, share_of_bandwidth: float) -> str:
    """Which of the device's limits a network comes nearer to, where it is near one."""
    if max(share_of_arithmetic, share_of_bandwidth) < _BOUND:
        return "neither"
    return "arithmetic" if share_of_arithmetic >= share_of_bandwidth else "memory"


def _stage(stage: Stage, decoder: DecoderBench) -> StageRow:
    frames, runs = decoder.material.frames, stage.runs
    ratio = Figure.of(bare / run.seconds for bare, run in zip(stage.bare_sec, runs, strict=True))
    bare_sec = Figure.of(stage.bare_sec).median / frames
    idle = Figure.of(run.idle_share for run in runs)
    waiting = Figure.of(run.waiting_sec / run.seconds for run in runs)
    on_cpu, decodes = stage.recorder.device.type == "cpu", stage.name not in _DECODES_NOTHING
    best = 1.0
    if decodes:
        best = best_ratio(bare_sec, decoder.sec_per_frame, decoder.cpu_sec_per_frame, on_cpu=on_cpu)
    # beside a GPU, a thread waits for frames that nobody may need yet
    late = waiting.median > idle.median / 2 if on_cpu else decoder.sec_per_frame > bare_sec
    return StageRow(
        stage=stage.name,
        frames_per_sec=Figure.of(frames / run.seconds for run in runs),
        bare_frames_per_sec=Figure.of(frames / seconds for seconds in stage.bare_sec),
        ratio=ratio,
        best_ratio=best,
        idle=idle,
        waiting=waiting,
        driver_cpu_sec_per_frame=Figure.of(run.driver_cpu_sec / frames for run in runs),
        network_cpu_share=Figure.of(
            run.network_cpu_sec / (run.network_cpu_sec + run.driver_cpu_sec) for run in runs
        ),
        host_peak_bytes=stage.peak.host_bytes,
        device_peak_bytes=stage.peak.device_bytes,
        bound=stage_bound(ratio.median, best, frames_late=decodes and late),
    )


def _networks(stage: Stage, material: Material, peaks: Peaks) -> Iterator[NetworkRow]:
    bare_sec = Figure.of(stage.bare_sec).median
    for network, times in stage.bare_sec_of.items():
        calls, seconds = stage.recorder.calls[network], Figure.of(times).median
        needed: Work = work(calls)
        arithmetic = needed.flops / seconds / peaks.flops_per_sec
        bandwidth = needed.num_bytes / seconds / peaks.bytes_per_sec
        batches = [call.batch for call in calls if call.batch]
        yield NetworkRow(
            stage=stage.name,
            network=network,
            calls=len(batches),
            batch=sum(batches) / max(1, len(batches)),
            share_of_stage=seconds / bare_sec,
            flops_per_frame=needed.flops / material.frames,
            bytes_per_frame=needed.num_bytes / material.frames,
            share_of_arithmetic=arithmetic,
            share_of_bandwidth=bandwidth,
            bound=network_bound(arithmetic, bandwidth),
        )


def _paths(bench: Workbench, material: Material) -> Iterator[PathRow]:
    rgb, score = bench.stages[RGB].runs, bench.stages[SCORE].runs
    student_sec = [one.seconds + two.seconds for one, two in zip(rgb, score, strict=True)]
    yield _path("student: decode, rgb, score", student_sec, material)
    if ALL in bench.stages:
        name = f"{', '.join(bench.features)} from one decode"
        yield _path(name, [run.seconds for run in bench.stages[ALL].runs], material)


def _path(name: str, round_sec: Iterable[float], material: Material) -> PathRow:
    seconds = list(round_sec)
    return PathRow(
        name,
        Figure.of(material.seconds / one for one in seconds),
        Figure.of(material.decoded_frames / HOURS_FPS / one for one in seconds),
    )


def _separate_by_together(bench: Workbench) -> Figure | None:
    if ALL not in bench.stages:
        return None
    separate = zip(*(bench.stages[name].runs for name in bench.features), strict=True)
    together = bench.stages[ALL].runs
    return Figure.of(
        sum(run.seconds for run in runs) / one.seconds for runs, one in zip(separate, together, strict=True)
    )
