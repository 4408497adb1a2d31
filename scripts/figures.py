"""Pictures of the README: the label curve from its measured table, and a frame of an annotated video.

python -P -m scripts.figures --demo runs/demo --to docs/images
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pipeline.annotate import annotate
from pipeline.video import open_video

TABLE = Path(__file__).parents[1] / "benchmarks" / "practice.md"
# row of the table -> what it is called in the picture, and its colour
ROWS = {
    "two-stream (needs skeletons at test)": ("two-stream: needs skeletons for new videos", "#999999"),
    "**two-stream as soft labels, all videos**": ("RGB student, taught on all videos", "#0072b2"),
    "vanilla RGB, labelled videos": ("RGB, labelled videos alone", "#d55e00"),
}


def read_curve(table: Path) -> tuple[list[int], dict[str, list[float]]]:
    """Numbers of labelled videos, and by row the figures there, in %; ValueError where a row is missing."""
    text = table.read_text().partition("## Label a few")[2]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    if not cells:
        raise ValueError(f"{table}: no table below 'Label a few'")
    found = {name: [_mean(cell) for cell in rest] for name, *rest in cells[2:] if name in ROWS}
    if missing := ROWS.keys() - found.keys():
        raise ValueError(f"{table}: no row {', '.join(sorted(missing))}")
    return [int(cell) for cell in cells[0][1:]], found


def draw_curve(labelled: Sequence[int], rows: Mapping[str, Sequence[float]], to: Path) -> None:
    """Per-frame mAP by number of labelled videos, as a PNG."""
    figure = Figure(figsize=(7.2, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for row, (name, color) in ROWS.items():
        axes.plot(labelled, rows[row], marker="o", color=color, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(labelled, [str(number) for number in labelled])
    axes.set(xlabel="labelled videos, of 54", ylabel="per-frame mAP, %", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(str(to), metadata={"Software": None})


def grab_annotated(demo: Path, video: str, frame: int, to: Path) -> None:
    """One frame of a video of the demo, annotated, as a PNG of few colours: it is to be small."""
    with tempfile.TemporaryDirectory() as folder:
        path = annotate(
            demo / "practice" / video, demo / "out", to=Path(folder) / "annotated.mp4", quiet=True
        )
        with open_video(path, fps=None) as stream:
            picture = next(rgb_HWC.copy() for i, rgb_HWC in enumerate(stream) if i == frame)
    Image.fromarray(picture).quantize(200).save(to, optimize=True)


def _mean(cell: str) -> float:
    """Of "28.1 ± 6.6", or the same in bold."""
    return float(cell.strip("*").split()[0])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--video", default="videos/test_004.mp4")
    parser.add_argument("--frame", type=int, default=103)
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    draw_curve(*read_curve(TABLE), given.to / "few-labels.png")
    grab_annotated(given.demo, given.video, given.frame, given.to / "annotated.png")


if __name__ == "__main__":
    main()
