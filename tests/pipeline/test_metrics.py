import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.metrics import frame_map


def average_precision(scores: list[float], positive: list[bool]) -> float:
    """The definition, word by word; a tie ranks as the last of its kind."""
    total = 0.0
    for score, is_positive in zip(scores, positive, strict=True):
        if is_positive:
            retrieved = [p for s, p in zip(scores, positive, strict=True) if s >= score]
            total += sum(retrieved) / len(retrieved)
    return total / sum(positive)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def random_videos(num_classes: int = 4, frames: tuple[int, ...] = (7, 1, 30)) -> tuple[list, list]:
    rng = np.random.default_rng(0)
    scores = [rng.random((f, num_classes)).astype(np.float32) for f in frames]
    return scores, [rng.random((f, num_classes)) < 0.3 for f in frames]


def test_by_hand():
    """Ranks of the positives: 1, 3, 4 of 5."""
    scores, targets = [column(0.9, 0.8), column(0.7, 0.6, 0.1)], [column(1, 0) > 0, column(1, 1, 0) > 0]
    result = frame_map(scores, targets, ["run"])
    assert result.ap["run"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert result.mean_ap == result.ap["run"]
    assert (result.chance, result.positives, result.frames, result.videos) == (3 / 5, {"run": 3}, 5, 2)


levels = st.integers(0, 4).map(lambda n: n / 4)  # few values, exact in float32: many ties
pairs = st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=30).filter(
    lambda p: any(y for _, y in p)
)


@settings(deadline=None)
@given(pairs)
def test_equals_the_definition(rows):
    scores, positive = zip(*rows, strict=True)
    result = frame_map([column(*scores)], [np.array(positive)[:, None]], ["run"])
    expected = average_precision(list(column(*scores)[:, 0]), list(positive))
    assert result.ap["run"] == pytest.approx(expected)
    assert 0 < expected <= 1


tables = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.float32, shape, elements=levels), hnp.arrays(bool, shape))
)


@settings(deadline=None, max_examples=50)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_frames_and_videos_does_not_matter(table, random):
    scores_FK, targets_FK = table
    classes = [str(k) for k in range(scores_FK.shape[1])]
    order = random.sample(range(len(scores_FK)), len(scores_FK))
    cut = random.randrange(len(scores_FK) + 1)
    whole = frame_map([scores_FK], [targets_FK], classes)
    parts = [order[:cut], order[cut:]]
    split = frame_map([scores_FK[part] for part in parts], [targets_FK[part] for part in parts], classes)
    assert split.mean_ap == pytest.approx(whole.mean_ap)
    assert split.ap == pytest.approx(whole.ap)
    assert (split.chance, split.positives, split.frames) == (whole.chance, whole.positives, whole.frames)
    squashed = frame_map([1 / (1 + np.exp(-scores_FK.astype(np.float64)))], [targets_FK], classes)
    assert squashed.ap == pytest.approx(whole.ap)  # only the ranking counts


@settings(deadline=None, max_examples=50)
@given(tables)
def test_perfect_scores_are_1_and_constant_ones_are_chance(table):
    _, targets_FK = table
    classes = [str(k) for k in range(targets_FK.shape[1])]
    perfect = frame_map([targets_FK.astype(np.float32)], [targets_FK], classes)
    constant = frame_map([np.full(targets_FK.shape, 0.5)], [targets_FK], classes)
    assert perfect.mean_ap == (1.0 if targets_FK.any() else None)
    assert constant.mean_ap == pytest.approx(constant.chance)
    assert all(
        constant.ap[c] == pytest.approx(constant.chance_per_class[c])
        for c in classes
        if targets_FK[:, int(c)].any()
    )


def test_random_scores_come_out_at_chance():
    rng = np.random.default_rng(0)
    result = frame_map(
        [rng.random((20_000, 3))], [rng.random((20_000, 3)) < [0.05, 0.3, 0.6]], ["a", "b", "c"]
    )
    assert result.mean_ap == pytest.approx(result.chance, abs=0.01)
    assert result.chance_per_class == pytest.approx({"a": 0.05, "b": 0.3, "c": 0.6}, abs=0.01)


def test_a_class_without_a_positive():
    scores = [np.array([[0.9, 0.9, 0.2], [0.1, 0.1, 0.7]])]
    targets = [np.array([[True, False, True], [False, False, False]])]
    kept = frame_map(scores, targets, ["run", "never", "fall"])
    assert kept.ap == {"run": 1.0, "never": None, "fall": 0.5}
    assert (kept.mean_ap, kept.chance) == (0.75, 0.5)
    assert kept.chance_per_class == {"run": 0.5, "never": 0.0, "fall": 0.5}
    every = frame_map(scores, targets, ["run", "never", "fall"], protocol="frame_map/all_classes")
    assert (every.mean_ap, every.chance) == (pytest.approx(0.5), pytest.approx(1 / 3))
    assert every.ap == kept.ap
    assert (kept.protocol, every.protocol) == ("frame_map/all", "frame_map/all_classes")


def test_a_class_that_is_always_there():
    result = frame_map([column(0.1, 0.9)], [column(1, 1) > 0], ["run"])
    assert (result.mean_ap, result.chance) == (1.0, 1.0)


@pytest.mark.parametrize("protocol", ["frame_map/all", "frame_map/all_classes"])
@pytest.mark.parametrize("arrays", [[], [np.zeros((0, 2))]])
def test_nothing_to_measure_is_none_not_nan(arrays, protocol):
    result = frame_map(arrays, [array > 0 for array in arrays], ["a", "b"], protocol=protocol)
    assert (result.mean_ap, result.chance, result.frames) == (None, None, 0)
    assert result.ap == result.chance_per_class == {"a": None, "b": None}


def test_result_is_json_without_nan():
    scores, targets = random_videos()
    targets = [target & [True, True, True, False] for target in targets]
    data = frame_map(scores, targets, "abcd", protocol="step_map/all").to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["protocol"] == "step_map/all"
    assert list(data["ap"]) == ["a", "b", "c", "d"]


def test_videos_may_come_from_an_iterator():
    scores, targets = random_videos()
    assert frame_map(iter(scores), iter(targets), "abcd") == frame_map(scores, targets, "abcd")


@pytest.mark.parametrize(
    ("score", "target", "message"),
    [
        (
            np.array([[0.1, np.nan], [0, 0]]),
            np.zeros((2, 2), bool),
            r"b\.mp4: the score of frame 0, class 1 is nan",
        ),
        (
            np.array([[0, 0], [-np.inf, 0]]),
            np.zeros((2, 2), bool),
            r"b\.mp4: the score of frame 1, class 0 is -inf",
        ),
        (np.zeros((2, 2)), np.zeros((3, 2), bool), r"b\.mp4: scores \(2, 2\) and targets \(3, 2\)"),
        (np.zeros((2, 3)), np.zeros((2, 3), bool), r"b\.mp4: .* expected both \(F, 2\)"),
        (np.zeros(2), np.zeros(2, bool), r"b\.mp4: scores \(2,\)"),
        (np.zeros((2, 2)), np.zeros((2, 2)), r"b\.mp4: targets are float64; expected bool"),
    ],
)
def test_errors_name_the_video(score, target, message):
    good = np.zeros((4, 2))
    with pytest.raises(ValueError, match=message):
        frame_map([good, score], [good > 0, target], ["x", "y"], videos=["a.mp4", "b.mp4"])


def test_counts_and_classes_must_fit():
    scores, targets = random_videos()
    for arguments, names in [((scores, targets[:2]), None), ((scores, targets), ["a"])]:
        with pytest.raises(ValueError, match="videos"):
            frame_map(*arguments, "abcd", videos=names)
    with pytest.raises(ValueError, match="a class is there twice"):
        frame_map(scores, targets, "abca")
