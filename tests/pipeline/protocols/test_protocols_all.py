"""What holds of every protocol."""

import json

import numpy as np
import pytest

from pipeline.config import EventConfig
from pipeline.labels import Interval
from pipeline.protocols import (
    DEFAULT,
    DEFAULTS,
    PROTOCOLS,
    ProtocolError,
    Truth,
    bootstrap,
    defaults,
    intervals,
    judge,
    judge_events,
    measure,
    measure_events,
    resampled,
    resolve,
    span,
)
from pipeline.protocols.resampling import average_precisions, draw
from pipeline.tracks import ScoreTrack

EVENTS = EventConfig(threshold=0.5, min_sec=0.0, merge_gap_sec=0.0)
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def copies(of, video_counts):
    """The same with each video as often as it was drawn, under names of its own."""
    return {f"{v}/{n}": of[v] for v, count in video_counts.items() for n in range(int(count)) if v in of}


@every_protocol
@pytest.mark.parametrize("seed", [0, 1])
def test_a_resample_is_measured_like_a_test_set_with_copies(protocol, seed, random_set):
    scores, truth, classes = random_set(seed)
    del scores["v3"]  # missing
    judgement = judge(protocol, scores, truth, classes, rule=EVENTS)
    weights_VS = draw(len(judgement.videos), 6, seed)
    value_S, chance_S = judgement.resample(weights_VS)
    for s in range(weights_VS.shape[1]):
        drawn = dict(zip(judgement.videos, weights_VS[:, s], strict=True))
        expected = measure(protocol, copies(scores, drawn), copies(truth, drawn), classes, rule=EVENTS)
        assert value_S[s] == pytest.approx(np.nan if expected.value is None else expected.value, nan_ok=True)
        assert chance_S[s] == pytest.approx(
            np.nan if expected.chance is None else expected.chance, nan_ok=True
        )


@every_protocol
def test_once_each_is_the_figure_itself(protocol, random_set):
    scores, truth, classes = random_set(2)
    judgement = judge(protocol, scores, truth, classes, rule=EVENTS)
    measured = judgement.measure()
    value, chance = judgement.resample(np.ones((len(judgement.videos), 1)))
    assert 0 < measured.value < 1
    assert value[0] == pytest.approx(measured.value)
    assert chance[0] == pytest.approx(np.nan if measured.chance is None else measured.chance, nan_ok=True)


@every_protocol
def test_order_does_not_matter(protocol, random_set):
    """Of videos, of classes, of the intervals of a video."""
    scores, truth, classes = random_set(3)
    columns = [2, 0, 3, 1]
    turned = tuple(classes[k] for k in columns)
    other = measure(
        protocol,
        {
            v: ScoreTrack(np.ascontiguousarray(t.scores_FK[:, columns]), t.times_sec_F, turned)
            for v, t in reversed(scores.items())
        },
        {v: Truth(t.intervals[::-1], t.duration_sec) for v, t in reversed(truth.items())},
        turned,
        rule=EVENTS,
    )
    measured = measure(protocol, scores, truth, classes, rule=EVENTS)
    assert other.value == pytest.approx(measured.value)
    assert other.chance == pytest.approx(measured.chance)
    for label in classes:
        assert other.per_class[label] == pytest.approx(measured.per_class[label])


@every_protocol
def test_json_counts_and_empty_classes(protocol, random_set):
    scores, truth, classes = random_set(4)
    measured = measure(protocol, scores, truth, classes, rule=EVENTS)
    data = measured.to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (measured.protocol, tuple(measured.per_class)) == (protocol, classes)
    assert measured.per_class["never"] is None
    assert measured.details["missing"] == []
    assert measured.videos == len(truth)


@every_protocol
def test_no_video_and_no_action_have_no_figure(protocol, random_set):
    scores, truth, classes = random_set(5)
    nothing = {video: Truth((), t.duration_sec) for video, t in truth.items()}
    for some, all_of in (({}, {}), (scores, nothing)):
        measured = measure(protocol, some, all_of, classes, rule=EVENTS)
        if all_of and protocol.endswith("/all_classes"):
            assert measured.value == measured.chance == 0
        else:
            assert (measured.value, measured.chance) == (None, None)
        assert set(measured.per_class.values()) == {None}
        assert bootstrap(protocol, some, all_of, classes, samples=20) is None or measured.value == 0


@every_protocol
def test_missing_videos_are_listed(protocol, random_set):
    scores, truth, classes = random_set(6)
    left = {video: track for video, track in scores.items() if video not in ("v1", "v2")}
    measured = measure(protocol, left, truth, classes, rule=EVENTS)
    assert measured.details["missing"] == ["v1", "v2"]
    without = measure(protocol, left, {v: truth[v] for v in left}, classes, rule=EVENTS)
    if protocol.startswith(("charades", "event_map", "segment_map")):
        assert measured.videos == 5
        assert measured.value < without.value  # what nobody found is missed
    else:
        assert measured.videos == 3
        assert measured.value == pytest.approx(without.value)


@every_protocol
def test_intervals_are_seeded_and_hold_most_figures(protocol, random_set):
    scores, truth, classes = random_set(7, num_videos=12)
    judgement = judge(protocol, scores, truth, classes, rule=EVENTS)
    one, other = (intervals(judgement, samples=200, seed=seed) for seed in (0, 1))
    assert one == intervals(judgement, samples=200, seed=0)
    assert one[0] == bootstrap(protocol, scores, truth, classes, samples=200, rule=EVENTS)
    assert one != other
    (low, high), narrow = one[0], intervals(judgement, samples=200, seed=0, level=0.5)[0]
    assert 0 <= low < high <= 1
    assert low <= narrow[0] < narrow[1] <= high
    if not protocol.startswith("action_conditional"):  # pairs drop out: see there
        assert low < judgement.measure().value < high


def test_models_are_compared_on_the_same_draws(random_set):
    scores, truth, classes = random_set(8, num_videos=12)
    worse = {
        v: ScoreTrack(1 - t.scores_FK, t.times_sec_F, classes) if v == "v4" else t for v, t in scores.items()
    }
    judgements = [judge("frame_map/all", found, truth, classes) for found in (scores, worse)]
    better_S, worse_S = (resampled(judgement, samples=300)[0] for judgement in judgements)
    apart = draw(12, 300, 0)[4] == 0
    assert np.array_equal(better_S[apart], worse_S[apart])  # the only difference was not drawn
    low, _ = span((better_S - worse_S)[~apart])
    assert low > 0


def test_average_precisions_are_those_of_scikit_learn():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    score_N, video_N = rng.integers(0, 12, 400) / 12, rng.integers(0, 7, 400)
    score_N[video_N == 3] = -np.inf
    positive_N = rng.random(400) < 0.2 + 0.3 * (score_N > 0.5)
    weights_VS = draw(7, 30, 0)
    finite_N = np.where(np.isinf(score_N), -1.0, score_N)
    expected = [
        average_precision_score(positive_N, finite_N, sample_weight=weights_VS[video_N, s]) for s in range(30)
    ]
    assert average_precisions(score_N, positive_N, video_N, weights_VS) == pytest.approx(expected)


def test_draws_are_of_as_many_videos_as_there_are():
    weights_VS = draw(9, 500, 0)
    assert weights_VS.shape == (9, 500)
    assert (weights_VS.sum(axis=0) == 9).all()
    assert weights_VS.mean() == 1
    assert (weights_VS == 0).mean() == pytest.approx((8 / 9) ** 9, abs=0.02)


def test_an_interval_needs_two_videos(random_set):
    scores, truth, classes = random_set(9, num_videos=2)
    one = {"v1": truth["v1"]}
    assert bootstrap("frame_map/all", scores, one, classes) is None
    with pytest.raises(ProtocolError, match="at least one sample"):
        bootstrap("frame_map/all", scores, truth, classes, samples=0)
    with pytest.raises(ProtocolError, match=r"level in \(0, 1\)"):
        bootstrap("frame_map/all", scores, truth, classes, level=95)


def test_names_and_beginnings_of_names():
    assert resolve(["segment_map@0.1:0.9", "frame_map"]) == (
        "segment_map@0.1:0.9",
        "frame_map/all",
        "frame_map/all_classes",
    )
    assert len(resolve(["event_map"])) == 8
    assert resolve(["action_conditional/tau20"]) == tuple(
        f"action_conditional/tau20/{figure}" for figure in ("map", "precision", "recall", "f1")
    )
    assert resolve(["charades_localize_25"]) == ("charades_localize_25",)
    assert resolve(["sampled_25", "sampled_25"]) == ("sampled_25",)
    assert resolve(()) == ()
    for name in ("frame", "event_map/action@0.2", ""):
        with pytest.raises(ProtocolError, match="there is no protocol"):
            resolve([name])


@pytest.mark.parametrize(
    ("dataset", "first"),
    [
        ("", "frame_map/all"),
        ("charades", "charades_localize_25"),
        ("pku-mmd-cs", "event_map/action@0.1"),
        ("tsu-cv", "grid_map/all"),
        ("thumos14", "segment_map@0.3:0.7"),
    ],
)
def test_a_data_set_has_its_own(dataset, first):
    assert defaults(dataset)[0] == first
    assert "frame_map/all" in defaults(dataset)
    assert all(set(names) <= set(PROTOCOLS) for names in DEFAULTS.values())
    assert DEFAULT == ("frame_map/all",)


def test_what_does_not_fit_is_named(random_set, track):
    scores, truth, classes = random_set(10)
    with pytest.raises(ProtocolError, match="there is no protocol 'map'; there is: frame_map/all, "):
        measure("map", scores, truth, classes)
    with pytest.raises(
        ProtocolError, match="v0: scores of the classes run, walk, sit, never; expected run, walk"
    ):
        measure("frame_map/all", scores, truth, classes[:2])
    odd = {"v0": Truth((Interval(0, 1, "fly"),), 9.0)}
    for protocol in PROTOCOLS:
        with pytest.raises(ProtocolError, match="v0: label 'fly' is none of the classes run, walk"):
            measure(protocol, scores, odd, classes)
    with pytest.raises(ProtocolError, match="the length of a video is 0 s"):
        Truth((), 0)
    with pytest.raises(ProtocolError, match="a class is there twice"):
        measure("frame_map/all", {}, {}, ("run", "run"))
    with pytest.raises(ProtocolError, match="frame_map/all judges scores, not events"):
        measure_events("frame_map/all", {}, truth, classes)


def test_events_given_are_those_decoded(random_set):
    from pipeline.events import decode

    scores, truth, classes = random_set(11)
    events = {v: decode(t.scores_FK, t.times_sec_F, classes, EVENTS) for v, t in scores.items()}
    for protocol in resolve(["event_map", "segment_map"]):
        measured = measure_events(protocol, events, truth, classes)
        assert measured == measure(protocol, scores, truth, classes, rule=EVENTS)
        assert measured.details["proposals"] == sum(map(len, events.values()))
    assert len(judge_events("event_map/video@0.5", events, truth, classes).videos) == 5
