"""The report page: whole, offline, bounded, and not moved by what users call their videos and classes."""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.metrics import frame_map
from pipeline.report import Curve, ReportData, VideoPanel, write_report
from pipeline.report_json import MAX_CLASSES, MAX_POINTS, MAX_TIMELINES, max_pool, page_json

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<!-- <script> ]]>",
    "a\u2028b\u2029c\u202ed",
    "\"double\" 'single' &amp; `tick` ${x} {{ 7 * 7 }} {% raw %}",
)


class Page(HTMLParser):
    """What a browser finds in the page: tags, links, scripts, text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    @property
    def data(self) -> dict:
        """The JSON that the scripts draw; the scripts are theme, data, plotly.js, page."""
        return json.loads(self.scripts[1])


def panel(name: str = "a.mp4", classes: int = 2, frames: int = 50, **changes) -> VideoPanel:
    scores = np.random.default_rng(frames).random((frames, classes), np.float32)
    plain = VideoPanel(name, "testing", np.arange(frames) / 25, scores, (), "decord", 25.0, frames)
    return replace(plain, **changes)


def report(classes: tuple[str, ...] = ("wave", "clap"), **changes) -> ReportData:
    """A run with everything in it, whose strings are `classes` in turn."""
    count = len(classes)
    intervals = tuple((0.2 * k, 0.2 * k + 0.5, label) for k, label in enumerate(classes))
    video = panel(classes[0], count, intervals=intervals, note=classes[-1])
    targets = np.arange(50)[:, None] % (count + 1) == np.arange(count)
    result = frame_map([video.scores_FK], [targets], classes).to_json()
    rows = ({"epoch": 0, "train_loss": 0.7, "val_map": None}, {"epoch": 1, "train_loss": 0.5, "val_map": 0.4})
    failure = dict(zip(("video", "stage", "reason", "message"), classes * 4, strict=False))
    data = ReportData(
        title=classes[0],
        classes=classes,
        metrics={classes[-1]: result},
        curves=(Curve(classes[-1], rows),),
        videos=(video,),
        failures=(failure,),
        stages=({"stage": classes[0], "done": 1, "cached": 2, "failed": 1, "seconds": 61.0},),
        lint=classes,
        run={"preset": classes[0], "config": {classes[-1]: classes[0]}, "fps": None},
    )
    return replace(data, **changes)


def page_of(data: ReportData, folder: Path) -> Page:
    return Page(write_report(data, folder))


def test_hostile_strings_are_text_and_nothing_else(tmp_path):
    harmless = tuple(f"class {k}" for k in range(len(HOSTILE)))
    page, plain = page_of(report(HOSTILE), tmp_path / "a"), page_of(report(harmless), tmp_path / "b")
    assert page.tags == plain.tags
    assert [a[:2] for a in page.attributes] == [a[:2] for a in plain.attributes]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    for text in HOSTILE:
        assert text in page.text


def test_hostile_strings_come_back_exactly_from_the_json(tmp_path):
    page = page_of(report(HOSTILE), tmp_path)
    data = page.data
    assert tuple(data["labels"]) == HOSTILE
    assert data["videos"][0]["name"] == HOSTILE[0]
    assert data["videos"][0]["note"] == HOSTILE[-1]
    assert sorted(row["name"] for row in data["per_class"]) == sorted(HOSTILE)
    assert not set("<>&\u2028\u2029") & set(page.scripts[1])


def test_file_name_that_is_not_utf8(tmp_path):
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    failures = ({"video": name, "stage": "extract", "reason": "r", "message": "m"},)
    page = page_of(report(videos=(panel(name),), failures=failures), tmp_path)
    assert page.data["videos"][0]["name"] == name
    assert "caf\ufffd.mp4" in page.text


def test_page_loads_nothing(tmp_path):
    page = page_of(report(), tmp_path)
    loads = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "ping"}
    targets = {value for _, name, value in page.attributes if name in loads}
    assert all(target == "data:," or target.startswith("#") for target in targets), targets
    ours = [text for text in page.scripts if text != max(page.scripts, key=len)]
    styles = (Path(__file__).parents[2] / "pipeline/templates/report.css").read_text()
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", "\n".join([*ours, styles]))


def test_policy_allows_only_the_scripts_of_the_page(tmp_path):
    page = page_of(report(), tmp_path)
    (policy,) = [value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value]
    assert "default-src 'none'" in policy
    code = [text for index, text in enumerate(page.scripts) if index != 1]  # 1 is data, never run
    digests = [hashlib.sha256(text.encode()).digest() for text in code]
    hashes = {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}
    (allowed,) = re.findall(r"script-src ([^;]*);", policy)
    assert set(allowed.split()) == hashes
    assert len(hashes) == 3


def test_same_data_same_bytes_and_no_leftovers(tmp_path):
    first = write_report(report(), tmp_path / "a").read_bytes()
    write_report(report(title="other"), tmp_path / "b")
    again = write_report(report(), tmp_path / "b")
    assert again.read_bytes() == first
    assert list(again.parent.iterdir()) == [again]


def test_results_failures_stages_lint_settings_are_there(tmp_path):
    failures = ({"video": "x.avi", "stage": "extract", "reason": "truncated", "message": "28 of 50 frames"},)
    metrics = {"student": {**report().metrics["clap"], "mean_ap": 0.4321, "chance": 0.0321, "missing": ["y"]}}
    page = page_of(report(failures=failures, metrics=metrics, lint=("3 intervals cut",)), tmp_path)
    words = " ".join(page.text.split())
    for text in ("x.avi", "extract", "truncated", "28 of 50 frames", "frame_map/all", "43.2", "3.2", "13.5"):
        assert text in words
    for text in ("1:01", "3 intervals cut", "config.clap", "null", "Missing"):
        assert text in words


def test_class_without_a_positive_has_no_figure(tmp_path):
    result = {**report().metrics["clap"], "ap": {"wave": None, "clap": 0.25}, "mean_ap": 0.25}
    rows = page_of(report(metrics={"m": result}), tmp_path).data["per_class"]
    assert [(row["name"], row["ap"]) for row in rows] == [("clap", [0.25]), ("wave", [None])]


def test_unlabelled_run(tmp_path):
    video = panel("b.mp4", subset="unlabelled", intervals=None)
    videos = (video, replace(video, name="c.mp4", subset=None, scores_FK=None))
    data = report(metrics={}, curves=(), videos=videos, failures=(), lint=(), stages=())
    page = page_of(data, tmp_path)
    assert "Not evaluated" in page.text
    assert "mAP" not in page.text
    assert "no video is labelled" in page.text
    assert [video["intervals"] for video in page.data["videos"]] == [None, None]
    assert page.data["per_class"] == page.data["curves"] == []


def test_nothing_could_be_scored(tmp_path):
    page = page_of(report(metrics={}, curves=(), videos=()), tmp_path)
    assert page.data["videos"] == []
    assert page.tags["h1"] == 1


def test_nan_of_a_diverged_training_is_a_gap(tmp_path):
    curve = Curve("m", ({"epoch": 0, "train_loss": float("nan")}, {"epoch": 1, "val_loss": 1.0}))
    (found,) = page_of(report(curves=(curve,)), tmp_path).data["curves"]
    assert found["columns"] == {"epoch": [0.0, 1.0], "train_loss": [None, None], "val_loss": [None, 1.0]}


@pytest.mark.parametrize("frames", [1, 2, MAX_POINTS - 1, MAX_POINTS, MAX_POINTS + 1, 4321])
def test_max_pool_keeps_every_peak_where_it_is(frames):
    times = np.arange(frames) / 30 + 1.5
    scores = np.zeros((frames, 3))
    peaks = [0, frames // 2, frames - 1]
    scores[peaks, range(3)] = 0.9
    pooled, edges = max_pool(scores, times, 30.0)
    assert len(pooled) == min(frames, MAX_POINTS) == len(edges) - 1
    assert edges[0] == 1.5
    assert edges[-1] == pytest.approx(1.5 + frames / 30)
    for k, frame in enumerate(peaks):
        (at,) = np.flatnonzero(pooled[:, k])
        assert pooled[at, k] == 0.9
        assert edges[at] <= times[frame] < edges[at + 1]


def test_tracks_are_three_decimals_of_the_scores():
    video = panel(frames=MAX_POINTS)
    scores = page_json(report(videos=(video,)))["videos"][0]["scores"]
    for k, track in zip(scores["classes"], scores["tracks"], strict=True):
        drawn = np.frombuffer(base64.b64decode(track), "<u2") / 1000
        np.testing.assert_allclose(drawn, video.scores_FK[:, k], atol=0.00051)


def test_labelled_classes_are_drawn_before_higher_scores():
    classes = tuple(f"c{k}" for k in range(MAX_CLASSES + 20))
    scores = np.tile(np.linspace(0, 1, len(classes), dtype=np.float32), (30, 1))
    intervals = ((0.8, 1.0, "c3"), (0.1, 0.5, "c7"), (0.3, 0.4, "a label the model does not know"))
    video = panel(classes=len(classes), frames=30, scores_FK=scores, intervals=intervals)
    data = page_json(ReportData("t", classes, {}, (), (video,), (), (), (), {}))
    drawn = data["videos"][0]["scores"]
    assert drawn["classes"][:4] == [7, 3, len(classes) - 1, len(classes) - 2]
    assert len(drawn["classes"]) == len(drawn["tracks"]) == MAX_CLASSES
    assert drawn["left_out"] == 20
    assert [data["labels"][k] for _, _, k in data["videos"][0]["intervals"]] == [i[2] for i in intervals]


def test_hundreds_of_videos_are_listed_and_the_first_drawn(tmp_path):
    videos = [panel(f"{i:03}.mp4", frames=2, subset="training") for i in range(MAX_TIMELINES + 4)]
    videos.append(panel("z.mp4", frames=2, subset="testing"))
    page = page_of(report(videos=tuple(videos)), tmp_path)
    found = page.data["videos"]
    assert found[0]["name"] == "z.mp4"
    assert [video["scores"] is not None for video in found] == [True] * MAX_TIMELINES + [False] * 5
    assert f"All {len(videos)} videos can be found here; the first {MAX_TIMELINES}" in " ".join(
        page.text.split()
    )


def test_size_is_bounded_by_points_and_classes():
    classes = tuple(f"c{k}" for k in range(100))
    video = panel(classes=100, frames=20_000)
    data = page_json(ReportData("t", classes, {}, (), (video,), (), (), (), {}))
    size = len(json.dumps(data["videos"]))
    assert size < MAX_CLASSES * MAX_POINTS * 2.7 + MAX_POINTS * 10 + 1000


def test_page_itself_is_five_megabytes_at_most(tmp_path):
    assert write_report(report(), tmp_path).stat().st_size < 5.0e6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times_sec_F": np.zeros(50)}, "increasing"),
        ({"times_sec_F": np.zeros(0), "scores_FK": None}, "one or more"),
        ({"scores_FK": np.zeros((49, 2))}, r"50 times, got \(49, 2\)"),
        ({"scores_FK": np.full((50, 2), 1.5)}, "probabilities"),
        ({"scores_FK": np.full((50, 2), np.nan)}, "probabilities"),
        ({"fps": 0.0}, "above 0"),
    ],
)
def test_bad_video_is_named(changes, message):
    with pytest.raises(ValueError, match=f"'a.mp4': .*{message}"):
        panel(**changes)


def test_scores_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="3 columns of scores, 2 classes"):
        report(videos=(panel(classes=3),))
