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
from pipeline.report import Curve, Media, ReportData, VideoPanel, write_report
from pipeline.report_json import MAX_SLOWEST, page_json, slowest
from pipeline.report_video import video_id

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


def put(script: Path) -> tuple[str, dict]:
    """Name and value that a script beside the page hands over; it does nothing else."""
    (inside,) = re.fullmatch(r"augrgb\.put\((.*)\);\n", script.read_text(encoding="ascii")).groups()
    name, value = json.loads(f"[{inside}]")
    return name, value


def test_hostile_strings_come_back_exactly_from_the_json(tmp_path):
    page = page_of(report(HOSTILE), tmp_path)
    data = page.data
    assert tuple(data["labels"]) == HOSTILE
    assert data["videos"][0]["name"] == HOSTILE[0]
    assert data["videos"][0]["note"] == HOSTILE[-1]
    assert sorted(row["name"] for row in data["protocols"][0]["classes"]) == sorted(HOSTILE)
    assert not set("<>&\u2028\u2029") & set(page.scripts[1])


def test_no_file_is_named_after_a_video_or_a_label(tmp_path):
    others = {name: panel().scores_FK[:, :1].repeat(len(HOSTILE), 1) for name in HOSTILE}
    video = replace(report(HOSTILE).videos[0], name="../../etc/<x>.mp4", others=others)
    write_report(report(HOSTILE, videos=(video,)), tmp_path / "page")
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    key = video_id(video.name)
    assert files == [f"page/data/{key}.js", "page/index.html"]
    name, value = put(tmp_path / "page" / "data" / f"{key}.js")
    assert name == key
    assert [model["name"] for model in value["models"]] == ["scores", *HOSTILE]
    assert not set("<>&") & set((tmp_path / files[0]).read_text())


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
    assert page.tags["iframe"] + page.tags["object"] + page.tags["form"] == 0
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
    assert set(allowed.split()) == hashes | {"'self'"}
    assert len(hashes) == 3
    assert "media-src 'self';" in policy
    assert "unsafe-eval" not in policy


def test_same_data_same_bytes_and_no_leftovers(tmp_path):
    first, other = tmp_path / "a", tmp_path / "b"
    write_report(report(), first)
    write_report(report(title="other", videos=(panel("other.mp4"),)), other)
    write_report(report(), other)
    files = [
        sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file()) for folder in (first, other)
    ]
    assert files[0] == files[1]
    assert len(files[0]) == 2  # the page, and its video's data
    assert all((first / name).read_bytes() == (other / name).read_bytes() for name in files[0])


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
    rows = page_of(report(metrics={"m": result}), tmp_path).data["protocols"][0]["classes"]
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
    assert [video["f1"] for video in page.data["videos"]] == [None, None]
    assert page.data["protocols"] == page.data["curves"] == []


def test_nothing_could_be_scored(tmp_path):
    page = page_of(report(metrics={}, curves=(), videos=()), tmp_path)
    assert page.data["videos"] == []
    assert page.tags["h1"] == 1


def test_nan_of_a_diverged_training_is_a_gap(tmp_path):
    curve = Curve("m", ({"epoch": 0, "train_loss": float("nan")}, {"epoch": 1, "val_loss": 1.0}))
    (found,) = page_of(report(curves=(curve,)), tmp_path).data["curves"]
    assert found["columns"] == {"epoch": [0.0, 1.0], "train_loss": [None, None], "val_loss": [None, 1.0]}


def test_protocols_are_shown_apart_the_headline_first(tmp_path):
    one = report().metrics["clap"]
    metrics = {
        f"{model} ({protocol})": {**one, "protocol": protocol, "mean_ap": value}
        for protocol, value in (("event_map", 0.2), ("frame_map/all", 0.4))
        for model in ("vanilla", "student")
    }
    page = page_of(report(metrics=metrics), tmp_path)
    found = page.data["protocols"]
    assert [protocol["name"] for protocol in found] == ["frame_map/all", "event_map"]
    assert [[row["name"] for row in protocol["rows"]] for protocol in found] == [["vanilla", "student"]] * 2
    assert [len(row["ap"]) for row in found[1]["classes"]] == [2, 2]
    assert "20.0" in page.text


def test_list_has_what_is_searched_and_sorted(tmp_path):
    intervals = ((0.8, 1.0, "clap"), (0.1, 0.5, "clap"), (0.3, 0.4, "not a class"))
    media = Media("preview", f"media/{0:016x}.mp4", 0.25, f"media/{0:016x}.js")
    video = panel(intervals=intervals, media=media, joints="joints/x.js", seconds=2.5)
    data = page_of(report(videos=(video, panel("b.mp4", subset="training"))), tmp_path).data
    (found, other) = data["videos"]
    assert [data["labels"][k] for k in found["labels"]] == ["clap", "not a class"]
    assert (found["intervals"], other["intervals"]) == (3, 0)
    assert found["media"] == {
        "kind": "preview",
        "file": "media/0000000000000000.mp4",
        "offset_sec": 0.25,
        "flow": "media/0000000000000000.js",
    }
    assert found["joints"] == "joints/x.js"
    assert other["media"] is None


def test_hundreds_of_videos_are_listed_and_the_page_stays_small(tmp_path):
    videos = [panel(f"{i:03}.mp4", frames=500, subset="training") for i in range(400)]
    videos.append(panel("z.mp4", frames=500, subset="testing"))
    few = page_of(report(videos=tuple(videos[:1])), tmp_path / "few")
    many = page_of(report(videos=tuple(videos)), tmp_path / "many")
    assert many.data["videos"][0]["name"] == "z.mp4"
    assert len(list((tmp_path / "many" / "data").iterdir())) == len(many.data["videos"]) == 401
    assert len(many.scripts[1]) - len(few.scripts[1]) < 400 * 400  # characters per video in the page itself


def test_slowest_videos_are_named(tmp_path):
    videos = tuple(panel(f"{i}.mp4", seconds=float(i)) for i in range(MAX_SLOWEST + 3))
    data = report(videos=(*videos, panel("unknown.mp4")))
    assert [video.seconds for video in slowest(data)] == [12.0, 11.0, *map(float, range(10, 2, -1))]
    page = page_of(data, tmp_path)
    assert ("a", "data-video", video_id("12.mp4")) in page.attributes
    assert page_json(data)["videos"][-1]["seconds"] is None


def test_label_curve_where_there_is_one(tmp_path):
    line = {"name": "student", "rgb": True, "x": [1, 2], "y": [20.0, 30.0], "std": [1.0, 2.0]}
    page = page_of(report(label_curve=[line]), tmp_path / "a")
    assert page.data["label_curve"] == [line]
    assert "Label curve" in page.text
    assert "Label curve" not in page_of(report(), tmp_path / "b").text


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
        ({"others": {"vanilla": np.zeros((50, 3))}}, r"50 times, got \(50, 3\)"),
        ({"others": {"vanilla": np.full((50, 2), -1.0)}}, "probabilities"),
        ({"fps": 0.0}, "above 0"),
    ],
)
def test_bad_video_is_named(changes, message):
    with pytest.raises(ValueError, match=f"'a.mp4': .*{message}"):
        panel(**changes)


def test_scores_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="3 columns of scores, 2 classes"):
        report(videos=(panel(classes=3),))


@pytest.mark.parametrize(
    "file", ["media/a.mp4", "../x.mp4", "media/../0123456789abcdef.mp4", "/0123456789abcdef"]
)
def test_media_has_no_names_of_users(file):
    with pytest.raises(ValueError, match="named by its hash"):
        Media("source", file, 0.0)
    with pytest.raises(ValueError, match="named by its hash"):
        Media("preview", f"media/{0:016x}.mp4", 0.0, file)
