"""The page in a browser, from disk, without a network: what a reader sees and does."""

import json
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import pipeline.report
from pipeline.config import EventConfig
from pipeline.events import decode, frame_edges

from .world import CLASSES, FPS, FRAMES, HOSTILE, RULE, scores

TIMES = np.arange(FRAMES) / FPS
WAIT_SEC = 120  # a busy machine says nothing of the page


@pytest.fixture(scope="module")
def url(folder) -> str:
    """Of the page, on disk."""
    return (folder / "index.html").as_uri()


@pytest.fixture
def page(open_page, url):
    """The page with the video `a.mp4`."""
    page = open_page(url)
    choose(page, "a.mp4")
    return page


def until(page, expression: str) -> None:
    """Wait for an expression to hold; Playwright's own way evaluates a string, which the page forbids."""
    ends = time.monotonic() + WAIT_SEC
    while not page.evaluate(expression):
        assert time.monotonic() < ends, f"not within {WAIT_SEC} s: {expression}"
        page.wait_for_timeout(50)


def choose(page, name: str) -> None:
    page.evaluate("delete document.getElementById('video').dataset.shown")
    page.locator("#rows button").get_by_text(name, exact=True).click()
    page.wait_for_selector("#video[data-shown]")


def time_of(page) -> float:
    """What the video shows, once it has been sought."""
    until(
        page,
        "!document.getElementById('player').seeking && document.getElementById('player').readyState >= 2",
    )
    return page.evaluate("document.getElementById('player').currentTime")


def click_timeline(page, at_sec: float, lane: float = 0.5) -> None:
    """Where a time is on the axis, from the ticks that plotly drew at 0:00 and 0:01."""
    box = page.locator("#timeline").bounding_box()
    zero, one = [page.locator(".xtick text", has_text=text).first.bounding_box() for text in ("0:00", "0:01")]
    middle = [tick["x"] + tick["width"] / 2 for tick in (zero, one)]
    page.mouse.click(middle[0] + at_sec * (middle[1] - middle[0]), box["y"] + 24 + lane * 50)


def counts(page) -> dict[str, int]:
    """Events of each model, as the page says."""
    labels = page.locator("#models label")
    return {
        label.get_attribute("data-model"): int(label.get_attribute("data-events")) for label in labels.all()
    }


def set_threshold(page, value: float) -> None:
    page.locator("#threshold").fill(f"{value:.2f}")
    until(page, f"document.getElementById('threshold-out').textContent === '{value:.2f}'")


def test_the_video_seeks_where_the_timeline_is_clicked(page):
    for at_sec in (2.5, 0.7, 3.2):
        click_timeline(page, at_sec)
        assert time_of(page) == pytest.approx(at_sec, abs=0.03)
        head = page.locator(".playhead").bounding_box()
        ticks = [page.locator(".xtick text", has_text=text).first.bounding_box() for text in ("0:00", "0:01")]
        start, second = [tick["x"] + tick["width"] / 2 for tick in ticks]
        assert (head["x"] + 1 - start) / (second - start) == pytest.approx(at_sec, abs=0.03)
    assert "t=3.2" in page.url


@pytest.mark.slow
def test_the_picture_is_that_of_the_time(page):
    """The square is 1 px further to the right with each frame: where it begins says which frame is shown."""
    video = page.locator("#screen")
    columns = []
    for frame in (10, 50, 80):
        page.evaluate(f"location.hash = '#video=a.mp4&t={(frame + 0.5) / FPS}'")
        until(page, f"Math.abs(document.getElementById('player').currentTime - {(frame + 0.5) / FPS}) < 0.01")
        time_of(page)
        page.wait_for_timeout(150)
        columns.append(bright_column(video.screenshot()))
    assert columns == pytest.approx([(10 + frame) / 160 for frame in (10, 50, 80)], abs=0.015)


def bright_column(png: bytes) -> float:
    """Where in a picture the bright square begins, as a part of its width."""
    import cv2

    gray = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    row = gray[gray.shape[0] // 2 - 10 : gray.shape[0] // 2 + 10].mean(axis=0)
    return float(np.argmax(row > 110)) / gray.shape[1]


@pytest.mark.parametrize(
    "threshold", [0.5, *(pytest.param(value, marks=pytest.mark.slow) for value in (0.0, 0.13, 0.77, 0.99))]
)
def test_events_at_any_threshold_are_those_of_the_program(page, threshold):
    set_threshold(page, threshold)
    rule = EventConfig(**{**RULE, "threshold": threshold})
    of = {"student": 0, "vanilla": 1, "teacher-flow": 2, "two-stream": 3}
    expected = {name: len(decode(scores(seed), TIMES, CLASSES, rule)) for name, seed in of.items()}
    assert counts(page) == expected


@pytest.mark.slow
def test_table_has_the_events_to_the_frame(page):
    set_threshold(page, 0.6)
    page.get_by_text("Ground truth and events as a table").click()
    cells = [row.locator("th, td").all_inner_texts() for row in page.locator("#events tr").all()]
    found = [
        (row[0], float(row[2][2:]), float(row[3][2:]), float(row[4])) for row in cells if row[1] == "student"
    ]
    events = decode(scores(0), TIMES, CLASSES, EventConfig(**{**RULE, "threshold": 0.6}))
    expected = [(e.label, e.start_sec, e.end_sec, e.score) for e in events]
    assert [row[0] for row in found] == [row[0] for row in expected]
    np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in expected], atol=0.0101)
    assert Counter(row[1] for row in cells)["ground truth"] == 3


def test_class_filter_and_models(page):
    lanes = page.locator("#timeline .annotation-text")
    assert {"wave", "clap", "stand up", CLASSES[3]} <= set(lanes.all_text_contents())
    page.locator("#class-filter").fill("CLA")
    until(page, "document.getElementById('readout').textContent.startsWith('1 of 4')")
    assert [text for text in lanes.all_text_contents() if not text.startswith("max")] == ["clap"]
    rule = EventConfig(**RULE)
    expected = sum(event.label == "clap" for event in decode(scores(0), TIMES, CLASSES, rule))
    assert counts(page)["student"] == expected
    page.locator("#class-filter").fill("nothing like it")
    until(page, "document.getElementById('readout').textContent.startsWith('None of 4')")
    page.locator("#class-filter").fill("")
    drawn = page.locator("#timeline .scatterlayer .trace").count()
    page.get_by_label("two-stream").check()
    assert page.locator("#timeline .scatterlayer .trace").count() > drawn
    page.locator("#strips").check()
    page.wait_for_selector("#timeline .heatmaplayer image, #timeline .hm image")


def test_keys(page):
    page.locator("#video-name").click()
    key = page.keyboard.press
    start = time_of(page)
    key("ArrowRight")
    assert time_of(page) == pytest.approx(start + 1, abs=0.03)
    key("ArrowLeft")
    assert time_of(page) == pytest.approx(start, abs=0.03)
    for _ in range(3):
        key(".")
    assert time_of(page) == pytest.approx((3 + 0.5) / FPS, abs=0.005)
    key(",")
    assert time_of(page) == pytest.approx((2 + 0.5) / FPS, abs=0.005)
    key("]")
    until(page, "document.getElementById('threshold-out').textContent === '0.51'")
    key("+")
    assert page.locator("#unzoom").is_visible()
    key("0")
    assert page.locator("#unzoom").is_hidden()
    key("s")
    assert page.locator("#show-joints").is_checked()
    key("?")
    assert page.locator("#help").is_visible()
    key("Escape")
    assert page.locator("#help").is_hidden()
    page.get_by_role("button", name="Keys").click()
    page.get_by_role("button", name="Close").click()
    assert page.locator("#help").is_hidden()
    key("/")
    page.keyboard.type("s j 0?")  # in the search field these are letters
    assert page.locator("#search").input_value() == "s j 0?"
    assert page.locator("#help").is_hidden()


@pytest.mark.slow
def test_space_plays_and_the_line_follows(page):
    page.locator("#video-name").click()
    page.keyboard.press(" ")
    until(page, "document.getElementById('player').currentTime > 0.5")
    assert page.locator("#play").inner_text() == "Pause"
    page.keyboard.press(" ")
    until(page, "document.getElementById('player').paused")
    now = time_of(page)
    assert page.locator("#time").inner_text().startswith(f"0:0{now:.2f}"[:6])
    assert page.locator("#models .chip").count() > 0


def test_search_and_sort(page):
    names = page.locator("#rows .name")
    assert names.count() == 43
    page.locator("#search").fill("more 03")
    assert page.locator("#found").inner_text() == "11 of 43 videos"  # 003, and 030 to 039
    page.locator("#search").fill("alert(1)")  # a label
    assert names.count() == 43
    page.locator("#search").fill("testing")
    assert names.count() == 3
    page.locator("#search").fill("")
    page.locator("[data-sort=f1]").click()
    shown = [float(text) for text in page.locator("#rows td:last-child").all_inner_texts()]
    assert shown == sorted(shown)
    page.locator("[data-sort=name]").click()
    page.locator("[data-sort=name]").click()
    assert names.first.inner_text() == "train/b.mkv"


def test_hostile_names_and_labels_are_text(open_page, url):
    page = open_page(url)
    choose(page, HOSTILE)
    assert page.locator("#video-name").inner_text() == HOSTILE
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 3
    assert CLASSES[3] in page.locator("#timeline .annotation-text").all_text_contents()
    page.reload()  # by its address, which has the name in it
    page.wait_for_selector("#video[data-shown]")
    assert page.locator("#video-name").inner_text() == HOSTILE
    assert page.evaluate("new URLSearchParams(location.hash.slice(1)).get('video')") == HOSTILE


@pytest.mark.slow
def test_overlays_are_drawn_where_joints_and_motion_are(page):
    page.evaluate("location.hash = '#video=a.mp4&t=2.0'")
    until(page, "Math.abs(document.getElementById('player').currentTime - 2) < 0.01")
    drawn = """() => {
      const canvas = document.getElementById("overlay"), pen = canvas.getContext("2d");
      const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
      let sum = 0, count = 0;
      for (let i = 0; i < data.length / 4; i += 1) {
        if (data[4 * i + 3]) { count += 1; sum += i % canvas.width; }
      }
      return [count, count && sum / count / canvas.width];
    }"""
    assert page.evaluate(drawn)[0] == 0
    page.locator("#show-joints").check()
    until(page, f"({drawn})()[0] > 100")
    assert page.evaluate(drawn)[1] == pytest.approx((30 + 100 * 2 / 4) / 160, abs=0.03)  # where the person is
    page.locator("#show-joints").uncheck()
    page.locator("#show-flow").check()
    until(page, f"({drawn})()[0] > 100")
    assert page.evaluate(drawn)[1] == pytest.approx((30 + 50) / 160, abs=0.12)  # around the square
    assert "coarse optical flow of the preview" in page.locator("#flow-note").inner_text()


@pytest.mark.slow
def test_no_video_beside_the_page(page):
    choose(page, "more/000.mp4")
    assert page.locator("#screen").is_hidden()
    assert page.locator("#play").is_disabled()
    assert "augrgb report OUT" in page.locator("#videos").inner_text()
    click_timeline(page, 1.5)
    assert page.locator("#time").inner_text().startswith("0:01.5")


@pytest.mark.slow
def test_a_page_without_its_folder_says_so(open_page, folder, tmp_path):
    (tmp_path / "index.html").write_bytes((folder / "index.html").read_bytes())
    page = open_page((tmp_path / "index.html").as_uri(), complains=True)
    until(page, "document.getElementById('timeline-caption').textContent.includes('copy the whole folder')")
    assert page.locator("#found").inner_text() == "43 videos"


@pytest.mark.slow
def test_overview_shows_every_protocol(page):
    assert page.locator("#results-charts figcaption").all_inner_texts() == ["frame_map/all", "event_map"]
    assert page.locator("#results-charts .plotly").count() >= 2
    page.locator("#ap-protocol").select_option("event_map")
    assert page.locator("#ap .bars .point").count() == 4 * len(CLASSES)
    assert page.locator("#label-curve .scatterlayer .trace").count() == 1
    page.get_by_text("Slowest videos").click()
    page.evaluate("delete document.getElementById('video').dataset.shown")
    page.get_by_role("link", name="more/039.mp4").click()
    page.wait_for_selector("#video[data-shown]")
    assert page.locator("#video-name").inner_text() == "more/039.mp4"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(open_page, url, scheme):
    page = open_page(url, color_scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    low = [one for one in found if one["ratio"] < one["needed"]]
    assert not low, json.dumps(low[:10], indent=1)


@pytest.mark.slow
def test_theme_is_the_readers(open_page, url):
    page = open_page(url, color_scheme="light")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()
    page.wait_for_selector("#video[data-shown]")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.slow
def test_a_phone_scrolls_in_one_direction(open_page, url):
    page = open_page(url, viewport={"width": 380, "height": 760}, has_touch=True, is_mobile=True)
    for name in (HOSTILE, "more/000.mp4"):
        choose(page, name)
        page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
    choose(page, "a.mp4")
    page.evaluate("document.getElementById('timeline').scrollIntoView({block: 'end', behavior: 'instant'})")
    box = page.locator("#timeline").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 40)
    assert time_of(page) == pytest.approx(2.0, abs=0.1)
    small = page.evaluate(
        "[...document.querySelectorAll('#video button, #video input, #video select')]"
        ".filter((node) => node.offsetParent && node.getBoundingClientRect().width > 380).length"
    )
    assert small == 0


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["threshold", "background-grouping"])
def test_both_rules_find_what_the_program_finds(browser, rule):
    templates = Path(pipeline.report.__file__).parent / "templates"
    code = (templates / "events.js").read_text()
    page = browser.new_page()
    rng = np.random.default_rng(0)
    for _ in range(30):
        frames, classes = rng.integers(1, 300), rng.integers(1, 6)
        walk = np.cumsum(rng.normal(0, 0.1, (frames, classes)), axis=0)
        steps = np.rint(np.clip(0.5 + walk, 0, 1) * 1000).astype(int)
        times = np.cumsum(rng.choice([0.04, 0.05, 0.1], frames))
        cut = int(rng.integers(0, 1001))
        settings = EventConfig(
            rule=rule,
            threshold=cut / 1000,
            activity=cut / 1000,
            min_sec=float(rng.choice([0, 0.2, 0.5])),
            merge_gap_sec=float(rng.choice([0, 0.1, 0.2])),
        )
        names = [str(k) for k in range(classes)]
        expected = decode((steps / 1000).astype(np.float32), times, names, settings)
        track = {"edges": frame_edges(times).tolist(), "models": [{"levels": steps.T.tolist()}]}
        call = f"findEvents({json.dumps(track)}, 0, {json.dumps(asdict(settings))}, {cut})"
        found = page.evaluate(f"(() => {{ {code}\nreturn {call}; }})()")
        assert [str(one["column"]) for one in found] == [event.label for event in expected]
        figures = [[event.start_sec, event.end_sec, event.score] for event in expected]
        np.testing.assert_allclose([[o["start"], o["stop"], o["score"]] for o in found], figures, atol=1e-5)
    page.close()


def test_rule_of_the_page_is_that_of_the_settings():
    assert set(RULE) == set(asdict(EventConfig()))


# Every visible piece of text with its colour, and the first opaque background below it.
CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const part = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    const unseen = "script, option, dialog, button:disabled";
    if (!text || !node.getClientRects().length || node.closest(unseen)) continue;
    const style = getComputedStyle(node);
    const color = parse(node instanceof SVGElement ? style.fill : style.color);
    let below = node, background = [0, 0, 0, 0];
    for (; below; below = below.parentElement) {
      background = parse(getComputedStyle(below).backgroundColor);
      if (background.length === 3 || background[3] === 1) break;
    }
    const [a, b] = [light(color), light(background)].sort((x, y) => y - x);
    const px = parseFloat(style.fontSize), big = px >= 24 || (px >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    found.push({ text: text.slice(0, 40), ratio, needed: big ? 3 : 4.5, color: style.color, background });
  }
  return found;
}"""
