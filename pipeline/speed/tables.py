"""A benchmark's report on a terminal."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table

from pipeline.speed.report import Figure, PrecisionReport, Report, ScalingRow

_WIDTH = 140  # characters: narrower, and columns would be cut


def show(report: Report, console: Console) -> None:
    """All of it; lines of a narrow terminal wrap."""
    Console(file=console.file, width=max(_WIDTH, console.width)).print(tables(report))


def tables(report: Report) -> RenderableType:
    """The machine, the decoder, and of each precision stages, networks, paths and scaling."""
    return Group(_head(report), *(table for one in report.precisions for table in _of_precision(one)))


def _head(report: Report) -> str:
    material, machine, decoder = report.material, report.machine, report.decoder
    through, alone = _rate(decoder.frames_per_sec), _rate(decoder.direct_frames_per_sec)
    return "\n".join(
        [
            f"{material.videos} videos, {material.frames} sampled frames of {material.decoded_frames}, "
            f"{material.seconds:.1f} s, {material.width}x{material.height} {material.codec}",
            f"{machine['device']}, {machine['processor']}, {machine['cores']} cores, {machine['threads']} "
            f"threads; load {machine['load_before']:.1f} before, {machine['load_after']:.1f} after",
            f"decoder alone: {through} frames/s; without our process {alone}; "
            f"{1000 * decoder.cpu_sec_per_frame:.2f} ms of a core per frame",
        ]
    )


def _of_precision(one: PrecisionReport) -> Iterator[RenderableType]:
    yield _stages(one)
    yield _networks(one)
    yield _paths(one)
    for title, rows in (("one video, longer and longer", one.lengths), ("more and more videos", one.counts)):
        if rows:
            yield _scaling(title, rows)


def _stages(one: PrecisionReport) -> Table:
    on_gpu = any(row.device_peak_bytes is not None for row in one.stages)
    columns = "stage,frames/s,bare,ratio,at best,idle,waiting,driver ms,of cpu,host MB,bound"
    table = _table(f"pipeline beside bare networks, precision {one.precision}", columns + ",GPU MB" * on_gpu)
    for row in one.stages:
        table.add_row(
            row.stage,
            f"{row.frames_per_sec.median:.4g}",
            f"{row.bare_frames_per_sec.median:.4g}",
            _spread(row.ratio, "{:.2f}"),
            f"{row.best_ratio:.2f}",
            f"{row.idle.median:.0%}",
            f"{row.waiting.median:.0%}",
            f"{1000 * row.driver_cpu_sec_per_frame.median:.2f}",
            f"{row.network_cpu_share.median:.0%}",
            f"{row.host_peak_bytes >> 20}",
            row.bound,
            *([f"{row.device_peak_bytes >> 20}"] if row.device_peak_bytes is not None else []),
        )
    table.caption = (
        "driver ms: processor time of a frame outside of networks and decoder; of cpu: share inside networks"
    )
    return table


def _networks(one: PrecisionReport) -> Table:
    peaks = one.peaks
    title = (
        f"bare networks, precision {one.precision}; peak {peaks.flops_per_sec / 1e9:.0f} GFLOP/s, "
        f"{peaks.bytes_per_sec / 1e9:.1f} GB/s"
    )
    table = _table(title, "stage,network,batch,time,GFLOP/frame,MB/frame,arithmetic,bandwidth,bound")
    for row in one.networks:
        table.add_row(
            row.stage,
            row.network,
            f"{row.batch:.1f}",
            f"{row.share_of_stage:.0%}",
            f"{row.flops_per_frame / 1e9:.3g}",
            f"{row.bytes_per_frame / 1e6:.3g}",
            f"{row.share_of_arithmetic:.0%}",
            f"{row.share_of_bandwidth:.0%}",
            row.bound,
        )
    return table


def _paths(one: PrecisionReport) -> Table:
    table = _table("from file to result", "path,times real time,hours of 24 fps video per hour")
    for row in one.paths:
        table.add_row(row.path, _spread(row.times_real_time, "{:.3g}"), _spread(row.hours_per_hour, "{:.3g}"))
    if one.separate_by_together is not None:
        ratio = _spread(one.separate_by_together, "{:.2f}")
        table.caption = f"a run for each modality takes {ratio} times as long as one for all"
    return table


def _scaling(title: str, rows: tuple[ScalingRow, ...]) -> Table:
    table = _table(title, "minutes,videos,frames,seconds,ms/frame,cpu ms/frame,host MB")
    for row in rows:
        table.add_row(
            f"{row.minutes:.3g}",
            str(row.videos),
            str(row.frames),
            _spread(row.seconds, "{:.1f}"),
            _spread(row.ms_per_frame, "{:.2f}"),
            _spread(row.cpu_ms_per_frame, "{:.2f}"),
            f"{row.host_peak_bytes >> 20}",
        )
    last, first = rows[-1], rows[0]
    wall = last.ms_per_frame.median / first.ms_per_frame.median
    cpu = last.cpu_ms_per_frame.median / first.cpu_ms_per_frame.median
    table.caption = (
        f"a frame of the last row, beside one of the first: {wall:.2f} of the time, {cpu:.2f} of cpu"
    )
    return table


def _table(title: str, columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    for i, name in enumerate(columns.split(",")):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _rate(figure: Figure) -> str:
    return _spread(figure, "{:.1f}" if figure.median < 1000 else "{:.0f}")


def _spread(figure: Figure, form: str) -> str:
    """Median, and the range of all rounds."""
    low, middle, high = (form.format(value) for value in (figure.low, figure.median, figure.high))
    return middle if low == high else f"{middle} ({low}-{high})"
