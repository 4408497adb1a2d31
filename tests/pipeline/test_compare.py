"""Two folders of features: what is read, what is paired, and what is said of them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.compare import compare_features
from pipeline.compare_verdict import remarks, verdict
from pipeline.feature_folders import CompareError, find_layouts, pair_up, read_features


def features(seed, count, dim=24, start=0.0, step=1.0):
    """Of a made-up video, at steps start, start + step, ...: positive, and changing all the time."""
    rng = np.random.default_rng(seed)
    rate_FD, phase_FD = rng.uniform(0.02, 0.2, (10, dim)), rng.uniform(0, 6.28, (10, dim))
    at_T11 = (start + step * np.arange(count))[:, None, None]
    return (3 + np.sin(6.28 * rate_FD * at_T11 + phase_FD).mean(axis=1)).astype(np.float32)


def write(folder, arrays, centers=None):
    """Features by name; with the times of their steps, as ours have them, where `centers` are given."""
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
        if centers is not None:
            path.with_suffix(".json").write_text(json.dumps({"centers_sec": centers[name]}))
    return folder


def videos(count=30, **how):
    return {f"video_{i}": features(i, count + 3 * i, **how) for i in range(3)}


def compared(tmp_path, a, b, **options):
    return compare_features(write(tmp_path / "a", a), write(tmp_path / "b", b), **options)


def test_the_same_features_are_the_same(tmp_path):
    found = compared(tmp_path, videos(), videos())
    assert found.kind == "equal"
    assert verdict(found) == "The same features in 3 videos: largest difference 0."
    assert remarks(found) == []
    assert found.cosine() == pytest.approx(1)


def test_half_precision_is_a_small_difference(tmp_path):
    found = compared(tmp_path, videos(), {k: v.astype(np.float16) for k, v in videos().items()})
    assert found.kind == "close"
    assert "same steps, same rate" in verdict(found)


def test_a_shift_is_named_in_steps(tmp_path):
    for shift in (1, -2):
        found = compared(tmp_path, videos(), videos(start=shift))
        assert found.kind == "shift"
        sign = "+ 1" if shift > 0 else "- 2"
        assert verdict(found).startswith(
            f"B is A shifted: step i of B is step i {sign} of A; median cosine 1.0000"
        )


def test_another_rate_is_named_in_frames_per_second(tmp_path):
    found = compared(tmp_path, videos(100), videos(100, step=25 / 24))
    assert found.kind == "rate"
    assert "step (25/24) i of A, as of 25 frames per second in A and 24 in B" in verdict(found)
    found = compared(tmp_path, videos(60), videos(30, step=2))
    assert "step 2 i of A, as with another stride, or another frame rate" in verdict(found)


def test_what_is_alike_is_not_called_the_same(tmp_path):
    rng = np.random.default_rng(0)
    b = {k: v + 0.3 * v.std() * rng.normal(size=v.shape).astype("f4") for k, v in videos().items()}
    found = compared(tmp_path, videos(), b)
    assert found.kind == "alike"
    assert verdict(found).startswith("Alike, not the same, in 3 videos: median cosine 0.9")


def test_other_features_are_different(tmp_path):
    found = compared(
        tmp_path, videos(), {k: features(9 + i, len(v)) for i, (k, v) in enumerate(videos().items())}
    )
    assert found.kind == "different"
    assert "Different features in 3 videos" in verdict(found)


def test_pieces_that_overlap_are_seen_through(tmp_path):
    """The public I3D script joins the features of overlapping pieces as they are."""
    whole = features(0, 600)
    joined = np.concatenate([whole[:212], whole[200:412], whole[400:]])
    found = compared(tmp_path, {"x": whole}, {"x": joined})
    assert found.kind == "pieces"
    assert "from -24 to +0 steps away" in verdict(found)


def test_longer_vectors_are_mentioned(tmp_path):
    found = compared(tmp_path, videos(), {k: 2 * v for k, v in videos().items()})
    assert found.kind == "close"
    assert "vectors of B are 2 times as long as those of A" in verdict(found)


def test_features_that_never_change_say_nothing(tmp_path):
    still = {"x": np.tile(features(0, 1), (20, 1))}
    found = compared(tmp_path, still, {"x": still["x"][:, ::-1].copy()})
    assert found.kind == "still"
    assert "do not change over time" in verdict(found)
    assert compared(tmp_path, still, still).kind == "equal"


def _ours(tmp_path, name, count, step_sec, start=0.0, step=1.0):
    arrays = {"x.mp4": features(0, count, start=start, step=step)}
    return write(tmp_path / name, arrays, {"x.mp4": [step_sec * i for i in range(count)]})


def test_times_of_our_own_are_held_against_what_is_found(tmp_path):
    a = _ours(tmp_path, "a", 60, 0.5)
    told = compare_features(a, _ours(tmp_path, "told", 30, 1.0, step=2))
    assert told.clock_agrees
    assert "their own times say the same" in verdict(told)
    wrong = compare_features(a, _ours(tmp_path, "wrong", 30, 0.5, step=2))
    assert not wrong.clock_agrees
    assert (
        "their own times put step i of B at step 1 i +0.00 of A: one of the two clocks is wrong"
        in verdict(wrong)
    )
    shifted = compare_features(a, _ours(tmp_path, "shifted", 50, 0.5, start=3))
    assert "step i + 3 of A (1.50 s later in the video)" in verdict(shifted)


def test_transposed_features_are_read_where_nothing_else_fits(tmp_path):
    found = compared(tmp_path, videos(), {k: v.T for k, v in videos(start=1).items()})
    assert found.layouts == ("td", "dt")
    assert found.kind == "shift"
    assert "A was read as (T, D), B as (D, T)" in remarks(found)


def test_axes_that_fit_both_ways_are_time_first_and_can_be_said(tmp_path):
    x = features(0, 40)
    assert compared(tmp_path, {"x": x}, {"x": x}).layouts == ("td", "td")
    found = compared(tmp_path, {"x": x.T}, {"x": x.T}, layout_a="dt", layout_b="dt")
    assert (found.layouts, found.dim) == (("dt", "dt"), 24)
    one, turned = (read_features(write(tmp_path / name, {"x": y})) for name, y in (("c", x), ("d", x.T)))
    with pytest.raises(CompareError, match="which axis is time is not clear; say it with --layout-a"):
        find_layouts(one, turned)
    assert find_layouts(one, turned, layout_b="dt") == ("td", "dt", 24)


def test_other_sizes_cannot_be_compared(tmp_path):
    with pytest.raises(CompareError, match=r"\(30, 24\).* B of \(30, 32\).*not the same features"):
        compared(tmp_path, videos(), videos(dim=32))


def test_single_axes_of_other_tools_are_left_out(tmp_path):
    b = {k: v[:, None, None, :] for k, v in videos().items()}
    assert compared(tmp_path, videos(), b).kind == "equal"
    one = compared(tmp_path / "one", {"x": features(0, 1)}, {"x": features(0, 1)[:, None, None, :]})
    assert one.videos[0].steps_b == 1


def test_videos_are_matched_by_path_then_without_suffix_then_by_stem():
    a = dict.fromkeys(["in/a.mp4", "in/b.mp4", "c.mkv", "d.mp4", "e"])
    b = dict.fromkeys(["in/a.mp4", "in/b", "c", "other/d.avi", "f"])
    assert pair_up(a, b) == [
        ("in/a.mp4", "in/a.mp4"),
        ("in/b.mp4", "in/b"),
        ("c.mkv", "c"),
        ("d.mp4", "other/d.avi"),
    ]
    assert pair_up(dict.fromkeys(["1/x", "2/x"]), dict.fromkeys(["x", "y"])) == []
    assert pair_up({"x": 0}, {"y": 0}) == [("x", "y")]


def test_files_without_a_counterpart_are_counted(tmp_path):
    found = compared(tmp_path, videos() | {"more": features(7, 20)}, videos())
    assert remarks(found) == ["1 files of A have no counterpart, such as more"]
    with pytest.raises(CompareError, match=r"no file of .* has a counterpart"):
        compared(
            tmp_path / "n",
            {"x": features(0, 20), "y": features(0, 20)},
            {"p": features(0, 20), "q": features(1, 20)},
        )


def test_many_videos_are_thinned_out_evenly(tmp_path):
    many = {f"{i:02}": features(i, 12) for i in range(20)}
    found = compared(tmp_path, many, many, videos=5)
    assert [video.name for video in found.videos] == ["00", "04", "08", "12", "16"]
    assert found.only_a == ()


def test_a_folder_of_results_stands_for_its_one_kind_of_features(tmp_path):
    out = tmp_path / "out"
    write(out / "features" / "rgb-0123", videos())
    assert set(read_features(out)) == set(videos())
    write(out / "features" / "flow-4567", videos())
    with pytest.raises(CompareError, match=r"2 kinds of features; name one .*flow-4567.*rgb-0123"):
        read_features(out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 4), np.int64), "holds int64, expected floating"),
        (np.zeros(5, np.float32), r"has the shape \(5,\)"),
        (np.zeros((2, 3, 4), np.float32), r"has the shape \(2, 3, 4\)"),
        (np.zeros((0, 4), np.float32), "cannot be read|has the shape"),
        (np.array([["a"]], dtype=object), "cannot be read"),
        (b"no array", "cannot be read"),
    ],
)
def test_what_is_no_array_of_features_is_named(tmp_path, content, message):
    path = tmp_path / "x.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(CompareError, match=rf"x\.npy: .*({message})"):
        read_features(tmp_path)


def test_numbers_that_are_not_finite_are_named(tmp_path):
    bad = features(0, 20)
    bad[3, 4] = np.nan
    with pytest.raises(CompareError, match=r"x\.npy: 1 of 20 steps are not finite"):
        compared(tmp_path, {"x": bad}, {"x": features(0, 20)})


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(CompareError, match=r"no \.npy in it"):
        read_features(tmp_path)


def test_the_command_writes_a_page_that_loads_nothing_and_trusts_no_name(tmp_path):
    name = "<img src=x onerror=alert(1)>"
    a = write(tmp_path / "a", {name: features(0, 30)})
    b = write(tmp_path / "b", {name: features(0, 30, start=1)})
    done = CliRunner().invoke(app, ["compare-features", str(a), str(b), "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 1
    assert "B is A shifted: step i of B is step i + 1 of A" in done.output
    page = (tmp_path / "page.html").read_text()
    assert "B is A shifted" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert name not in page
    data = page.split('id="data">')[1].split("</script>")[0]
    video = json.loads(data)["videos"][0]
    assert video["name"] == name
    assert video["match"]["y"][4] == pytest.approx(5, abs=0.5)
    np.testing.assert_allclose(video["aligned"]["y"], 1, atol=1e-4)


def test_the_exit_code_says_whether_they_are_the_same(tmp_path):
    a = write(tmp_path / "a", videos())
    arguments = ["compare-features", str(a), str(a), "--out", str(tmp_path / "page.html")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    done = CliRunner().invoke(app, [*arguments, "--layout-a", "dd"])
    assert done.exit_code == 2
    assert "a layout is one of auto, td, dt" in done.output
