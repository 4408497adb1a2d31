"""The command line: words to a request, errors to messages and exit codes.

Exit codes: see `cli_errors`. Heavy imports wait until a command runs.
"""

import json
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli_annotate import annotate
from pipeline.cli_bench import bench
from pipeline.cli_benchmark import benchmark
from pipeline.cli_checks import compare_features, verify
from pipeline.cli_clean import clean
from pipeline.cli_errors import errors
from pipeline.cli_export import evaluate_events, export
from pipeline.cli_report import report
from pipeline.cli_weights import app as weights

if TYPE_CHECKING:
    from pipeline.engines import EngineOptions
    from pipeline.request import Request

app = typer.Typer(
    name="augrgb",
    help="Temporal action detection from raw video: MP4 in, per-frame action scores out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(weights, name="weights")

Videos = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Files, folders (recursive), or .txt/.csv lists. Left out: those of the run that made OUT."
    ),
]
NewVideos = Annotated[list[Path], typer.Argument(help="Files, folders (recursive), or .txt/.csv lists.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="Folder of results; what it holds already is not done again.")
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        "-a",
        help="Labels. CSV: video,start,end,label[,subset]; seconds. Or ActivityNet-style JSON. Or, as "
        "published, Charades (JSON or csv), MultiTHUMOS, THUMOS14, TSU (JSON), PKU-MMD (cross-subject.txt "
        "or cross-view.txt).",
    ),
]
Model = Annotated[
    Path | None, typer.Option("--checkpoint", help="Score with this trained model; no labels needed.")
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="Complete settings by name; see `augrgb presets`. (default: kinetics)"),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings from a saved run.json or a YAML file.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override one setting: train.epochs=20. Repeatable.")
]
Teachers = Annotated[
    str | None,
    typer.Option(
        "--teachers", help="Modalities that teach the RGB student: flow, skeleton or flow,skeleton."
    ),
]
Modalities = Annotated[
    str, typer.Option("--features", help="Modalities by commas: rgb, flow, skeleton. All from one decode.")
]
ShowClasses = Annotated[
    bool,
    typer.Option(
        "--show-classes", help="Print the 5 best classes of each window, by the I3D's own classifier."
    ),
]
ClassNames = Annotated[
    Path | None,
    typer.Option("--class-names", help="Their names, one a line, in the order of the classifier."),
]
Unlabelled = Annotated[
    bool, typer.Option("--distill-unlabelled", help="Videos without labels join the distillation.")
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="What networks make features in: 32, bf16 (fast on new CPUs and GPUs), 16-mixed (GPUs), or "
        "auto, which is 32 everywhere. Features of each are kept apart. (default: auto)",
    ),
]
ShowDrift = Annotated[
    bool,
    typer.Option("--show-drift", help="First say how far features of the first windows are from float32."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, or cuda[:i].")]
Protocols = Annotated[
    str | None,
    typer.Option(
        "--protocols",
        help="What to evaluate by, the report's headline first: frame_map/all,charades_localize_25, or the "
        "beginning of several, such as event_map. Left out: what the data set's figures are published by.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        help="Where features are made: local (this process), processes (several of this machine), or ray "
        "(the cluster that RAY_ADDRESS names; without it, this machine).",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Of processes and ray. (default: one per GPU, else one per core; ray: what has room)",
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker", help="A part of one, such as 0.5, or 0. (default: 1 where there are GPUs)"
    ),
]
Fast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first video that cannot be done.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what is cached and what is to do; do nothing.")]


@app.command()
def run(
    videos: NewVideos,
    out: Out,
    annotations: Labels = None,
    checkpoint: Model = None,
    preset: Preset = None,
    config: ConfigFile = None,
    overrides: Set = None,
    teachers: Teachers = None,
    distill_unlabelled: Unlabelled = False,
    protocols: Protocols = None,
    precision: Precision = None,
    show_drift: ShowDrift = False,
    device: Device = "auto",
    engine: Engine = "local",
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    fail_fast: Fast = False,
    dry_run: DryRun = False,
) -> None:
    """The whole way: extract, train (or take --checkpoint), score, evaluate, report."""
    from pipeline import commands

    settings: dict[str, Any] = {
        "annotations": annotations,
        "checkpoint": checkpoint,
        "preset": preset,
        "config": config,
    }
    overrides = _overrides(overrides, teachers, distill_unlabelled, protocols)
    settings |= {"overrides": [*_precision(precision), *overrides], "device": device}
    settings |= {"fail_fast": fail_fast, "engine": _engine(engine, workers, gpus_per_worker)}
    command = commands.dry_run if dry_run else partial(commands.run, drift=show_drift)
    _execute(command, videos, out, settings)


@app.command()
def extract(
    videos: NewVideos,
    out: Out,
    preset: Preset = None,
    config: ConfigFile = None,
    overrides: Set = None,
    features: Modalities = "rgb",
    show_classes: ShowClasses = False,
    class_names: ClassNames = None,
    precision: Precision = None,
    show_drift: ShowDrift = False,
    device: Device = "auto",
    engine: Engine = "local",
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    fail_fast: Fast = False,
) -> None:
    """Features of every video, cached in OUT/features; what skeletons are made of, in OUT/joints."""
    from pipeline import commands

    settings: dict[str, Any] = {"preset": preset, "config": config, "device": device, "fail_fast": fail_fast}
    settings["overrides"] = [*_precision(precision), *(overrides or ())]
    settings["features"] = [name.strip() for name in features.split(",")]
    settings["engine"] = _engine(engine, workers, gpus_per_worker)
    show = show_classes or class_names is not None
    command = partial(commands.extract, show_classes=show, class_names=class_names, drift=show_drift)
    _execute(command, videos, out, settings)


@app.command()
def train(
    out: Out,
    videos: Videos = None,
    annotations: Labels = None,
    preset: Preset = None,
    config: ConfigFile = None,
    overrides: Set = None,
    teachers: Teachers = None,
    distill_unlabelled: Unlabelled = False,
    device: Device = "auto",
) -> None:
    """Train on cached features and labels. Settings left out: those of the run that made OUT."""
    from pipeline import commands

    settings: dict[str, Any] = {
        "annotations": annotations,
        "preset": preset,
        "config": config,
        "overrides": _overrides(overrides, teachers, distill_unlabelled),
    }
    _execute(commands.train, videos, out, {**settings, "device": device, "remember": True})


@app.command()
def score(
    out: Out,
    videos: Videos = None,
    checkpoint: Model = None,
    overrides: Set = None,
    device: Device = "auto",
    fail_fast: Fast = False,
) -> None:
    """Score every frame from cached features, by --checkpoint or by the model trained in OUT."""
    from pipeline import commands

    settings: dict[str, Any] = {
        "checkpoint": checkpoint,
        "overrides": overrides,
        "device": device,
        "fail_fast": fail_fast,
        "remember": True,
    }
    _execute(commands.score, videos, out, settings)


@app.command()
def evaluate(
    out: Out,
    videos: Videos = None,
    annotations: Labels = None,
    checkpoint: Model = None,
    overrides: Set = None,
    protocols: Protocols = None,
) -> None:
    """Scores against labels on the test split: table and OUT/metrics.json."""
    from pipeline import commands

    settings: dict[str, Any] = {"annotations": annotations, "checkpoint": checkpoint}
    settings["overrides"] = _overrides(overrides, protocols=protocols)
    _execute(commands.evaluate, videos, out, {**settings, "device": "cpu", "remember": True})


app.command()(report)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder for videos/, labels.csv and truth/.")],
    train_videos: Annotated[int, typer.Option(min=1, help="Videos of the training split.")] = 24,
    test_videos: Annotated[
        int, typer.Option(min=1, help="Videos of the test split, which looks different.")
    ] = 12,
    seconds: Annotated[float, typer.Option(min=1.0, help="Length of each video.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Same seed: same frames and labels.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
) -> None:
    """Render the practice world: MP4s of acting people, with exact labels."""
    from pipeline.progress import Progress
    from pipeline.synthetic import render_practice

    progress, total = Progress(), train_videos + test_videos
    with errors(), progress.bar("render", total) as bar:
        rendered = render_practice(
            out,
            seed=seed,
            train_videos=train_videos,
            test_videos=test_videos,
            seconds=seconds,
            workers=workers,
            progress=bar.advance,
        )
        progress.say(f"{rendered} videos rendered, {total - rendered} were there: {out}")


@app.command()
def doctor() -> None:
    """What is installed, what works, what does not and the fix."""
    from pipeline.doctor import examine

    with errors():
        raise typer.Exit(0 if examine() else 1)


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="Show every setting of this one.")] = None,
) -> None:
    """Complete settings by name."""
    with errors():
        import yaml

        from pipeline.config import load_config, to_values
        from pipeline.presets import PRESETS

        if name is not None:
            values = to_values(load_config(name))
            del values["flow"]["i3d"]["person"]  # in use by rgb alone: flow is of whole frames
            typer.echo(yaml.safe_dump(values, sort_keys=False), nl=False)
            return
        for preset, build in PRESETS.items():
            typer.echo(f"{preset:12} {(build.__doc__ or '').splitlines()[0]}")


app.command()(annotate)
app.command()(verify)
app.command()(clean)
app.command()(compare_features)
app.command()(benchmark)
app.command()(bench)
app.command()(export)
app.command()(evaluate_events)


def _overrides(
    given: list[str] | None,
    teachers: str | None = None,
    unlabelled: bool = False,
    protocols: str | None = None,
) -> list[str]:
    """Options of their own are settings like all others."""
    overrides = list(given or ())
    if teachers is not None:
        overrides.append(f"teachers=[{teachers}]")
    if unlabelled:
        overrides.append("distill_unlabelled=true")
    if protocols is not None:
        names = [name.strip() for name in protocols.split(",") if name.strip()]
        overrides.append(f"evaluation.protocols={json.dumps(names)}")  # quoted: a name may hold a colon
    return overrides


def _precision(name: str | None) -> list[str]:
    """As settings; exceptions given one by one come after them."""
    from pipeline.precision import as_overrides

    return as_overrides(name) if name is not None else []


def _engine(name: str, workers: int | None, gpus_per_worker: float | None) -> "EngineOptions":
    from pipeline.engines import EngineOptions

    with errors():
        return EngineOptions(name, workers, gpus_per_worker)


def _execute(
    command: "Callable[[Request], Any]", videos: list[Path] | None, out: Path, settings: dict[str, Any]
) -> None:
    """Make the request, run it, print what it amounts to, leave with the exit code."""
    from pipeline import commands
    from pipeline.job import FailFast
    from pipeline.request import request as make_request

    with errors():
        request = make_request(videos, out, **settings, command=shlex.join(["augrgb", *sys.argv[1:]]))
        with suppress(FailFast):  # the table says which video it was
            command(request)
        raise typer.Exit(commands.summary(request))
