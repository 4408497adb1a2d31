"""From tracked joints to vectors: who is seen, how gaps are filled, and what changes nothing."""

import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from extractors.base import Window
from extractors.skeleton import SkeletonFeatures, Windows, build_graph
from extractors.skeleton_config import SkeletonConfig
from extractors.skeleton_input import Joints, choose, fill_gaps, normalise, people, to_stream
from extractors.weights import WeightsError

CPU = torch.device("cpu")
WIDTH, HEIGHT, J = 320, 240, 17
SMALL = SkeletonConfig(network="stgcn++", base=8, blocks=(1, 1), window=Window(32, 8, -8))
RNG = np.random.default_rng(5)


def save_weights(config: SkeletonConfig, path: Path) -> SkeletonConfig:
    """Random weights, batch norms that have seen something, half precision, in pyskl's layout."""
    torch.manual_seed(3)
    network = build_graph(config)
    network(torch.randn(8, config.persons, 16, J, 3))
    state = {
        f"backbone.{k}": v.half().contiguous()
        for k, v in network.state_dict().items()
        if v.is_floating_point()
    }
    save_file(state | {"cls_head.fc_cls.weight": torch.zeros(60, network.dim)}, path)
    return replace(config, weights=str(path))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SkeletonConfig:
    return save_weights(SMALL, tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def extractor(config: SkeletonConfig) -> SkeletonFeatures:
    return SkeletonFeatures(config, CPU)


def walker(frames: int, size: float = 80.0, x: float = 60.0) -> np.ndarray:
    """A figure that moves smoothly: (S, J, 3)."""
    rng = np.random.default_rng(int(size + 1000 * x))
    rest = rng.uniform(-0.5, 0.5, (J, 2)) * size + (x, 120)
    phase = np.arange(frames)[:, None, None] / 5 + rng.uniform(0, 6, (J, 2))
    xy = rest + 0.1 * size * np.sin(phase)
    return np.concatenate([xy, rng.uniform(0.3, 1.0, (frames, J, 1))], axis=-1).astype(np.float32)


def video(*tracks: tuple[np.ndarray, int], frames: int, ids: tuple[int, ...] | None = None) -> Joints:
    """Tracks (joints, first frame), one row each; boxes fit the joints, scores 1."""
    ids = ids or tuple(range(len(tracks)))
    person_id = np.full((frames, len(tracks)), -1)
    joints = np.zeros((frames, len(tracks), J, 3), np.float32)
    boxes = np.zeros((frames, len(tracks), 5), np.float32)
    for row, (track, start) in enumerate(tracks):
        rows = slice(start, start + len(track)), row
        person_id[rows], joints[rows], boxes[(*rows, 4)] = ids[row], track, 1
        boxes[(*rows, slice(0, 2))], boxes[(*rows, slice(2, 4))] = (
            track[..., :2].min(1),
            track[..., :2].max(1),
        )
    return Joints(person_id, joints, boxes, WIDTH, HEIGHT)


def scene(frames: int = 60) -> Joints:
    """A large person all the time, a smaller one who comes in the middle, a small one who stays."""
    middle = frames // 2
    big, late, small = walker(frames, 100), walker(frames - middle, 80, 200), walker(frames, 40, 260)
    return video((big, 0), (late, middle), (small, 0), frames=frames)


# --- what changes nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 15, 16, 17, 60])
def test_every_video_has_a_feature_per_stride(extractor: SkeletonFeatures, frames: int) -> None:
    features = extractor.features(video((walker(frames), 0), frames=frames))
    assert features.shape == (-(-frames // 8), extractor.dim)
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert (features != 0).any(1).all()


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    """Equal but for rounding, and not because nothing is in them."""
    largest = float(a.abs().max())
    assert largest > 0.1
    assert (a - a[:1]).abs().max() > 1e-3 * largest  # windows differ: an order mixed up would show
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_batch_size_changes_nothing(extractor: SkeletonFeatures, batch: int) -> None:
    joints, shown, clips = scene(), [], extractor.clips
    extractor_of_parts = copy(extractor)
    extractor_of_parts.clips = lambda x: shown.append(len(x)) or clips(x)  # type: ignore[method-assign]
    same(extractor.features(joints), extractor_of_parts.features(joints, batch=batch))
    assert sum(shown) == 8
    assert max(shown) == min(batch, 8)


def test_rows_in_another_order_change_nothing(extractor: SkeletonFeatures) -> None:
    joints = scene()
    order_SM = np.argsort(RNG.random(joints.person_id_SM.shape), axis=1)  # another in every frame
    shuffled = Joints(
        np.take_along_axis(joints.person_id_SM, order_SM, 1),
        np.take_along_axis(joints.joints_SMJ3, order_SM[..., None, None], 1),
        np.take_along_axis(joints.boxes_SM5, order_SM[..., None], 1),
        WIDTH,
        HEIGHT,
    )
    assert torch.equal(extractor.features(joints), extractor.features(shuffled))


def test_other_names_and_more_empty_rows_change_nothing(extractor: SkeletonFeatures) -> None:
    joints = scene()
    named = np.where(joints.person_id_SM < 0, -1, np.array([70, 3, 12])[joints.person_id_SM.clip(0)])
    renamed = Joints(
        np.pad(named, ((0, 0), (2, 1)), constant_values=-1),
        np.pad(joints.joints_SMJ3, ((0, 0), (2, 1), (0, 0), (0, 0)), constant_values=np.nan),
        np.pad(joints.boxes_SM5, ((0, 0), (2, 1), (0, 0)), constant_values=np.nan),
        WIDTH,
        HEIGHT,
    )
    assert torch.equal(extractor.features(joints), extractor.features(renamed))


def test_resolution_changes_nothing(extractor: SkeletonFeatures) -> None:
    joints = scene()
    scale = np.array([3, 3, 1], np.float32)
    larger = Joints(
        joints.person_id_SM,
        joints.joints_SMJ3 * scale,
        joints.boxes_SM5 * np.array([3, 3, 3, 3, 1]),
        3 * WIDTH,
        3 * HEIGHT,
    )
    same(extractor.features(joints), extractor.features(larger))
    # a picture of another size around the same figures is another place in it
    wider = extractor.features(replace(joints, width=2 * WIDTH))
    assert (wider - extractor.features(joints)).abs().max() > 1e-3 * wider.abs().max()


@pytest.mark.parametrize(("origin", "invariant"), [("picture", False), ("person", True)])
def test_place_and_size_in_units_of_the_person(config: SkeletonConfig, origin: str, invariant: bool) -> None:
    extractor = SkeletonFeatures(replace(config, origin=origin), CPU)  # type: ignore[arg-type]
    joints = video((walker(40), 0), frames=40)
    moved = replace(joints, joints_SMJ3=joints.joints_SMJ3 * np.array([0.5, 0.5, 1]) + [90, 33, 0])
    a, b = extractor.features(joints), extractor.features(moved)
    assert torch.allclose(a, b, rtol=0, atol=1e-4 * float(a.abs().max())) is invariant


def test_a_third_person_changes_nothing_while_smaller(extractor: SkeletonFeatures) -> None:
    big, middle, small = (walker(40, size, x) for size, x in ((120, 60), (80, 160), (40, 260)))
    two = extractor.features(video((big, 0), (middle, 0), frames=40))
    three = extractor.features(video((small, 0), (big, 0), (middle, 0), frames=40, ids=(0, 1, 2)))
    assert torch.equal(two, three)


# --- nobody, somebody for a while -----------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 2])
def test_an_empty_scene_is_zero(extractor: SkeletonFeatures, rows: int) -> None:
    empty = Joints(
        np.full((20, rows), -1),
        np.full((20, rows, J, 3), np.nan, np.float32),
        np.full((20, rows, 5), np.nan, np.float32),
        WIDTH,
        HEIGHT,
    )
    features = extractor.features(empty)
    assert features.shape == (3, extractor.dim)
    assert (features == 0).all()


def test_no_frames_no_features(extractor: SkeletonFeatures) -> None:
    nothing = Joints(np.zeros((0, 1), int), np.zeros((0, 1, J, 3)), np.zeros((0, 1, 5)), WIDTH, HEIGHT)
    assert extractor.features(nothing).shape == (0, extractor.dim)


def test_windows_before_someone_appears_are_zero(extractor: SkeletonFeatures) -> None:
    """Windows of 32 frames every 8, from 8 before: the first to reach frame 50 is number 4."""
    features = extractor.features(video((walker(30), 50), frames=80))
    assert (features != 0).any(1).tolist() == [False] * 4 + [True] * 6


def test_joints_that_are_not_finite_are_missing(extractor: SkeletonFeatures) -> None:
    joints = scene()
    broken, without = joints.joints_SMJ3.copy(), joints.joints_SMJ3.copy()
    broken[:, 0, 3:6, 0], broken[:, 0, 9, 2] = np.nan, np.inf
    without[:, 0, [3, 4, 5, 9]] = 0
    a = extractor.features(replace(joints, joints_SMJ3=broken))
    assert torch.equal(a, extractor.features(replace(joints, joints_SMJ3=without)))
    assert a.isfinite().all()
    assert not torch.equal(a, extractor.features(joints))


# --- which frames, who, what ----------------------------------------------------------------------


def test_edges_repeat_as_the_window_says() -> None:
    track = walker(20)
    windows = Windows(video((track, 0), frames=20), replace(SMALL, persons=1))
    x = windows.clips(slice(0, 1))[0, 0]  # frames -8 to 23
    wanted = track[np.clip(np.arange(-8, 24), 0, 19)]
    half = np.array([WIDTH / 2, HEIGHT / 2])
    np.testing.assert_allclose(x[..., :2], (wanted[..., :2] - half) / half, atol=1e-6)
    np.testing.assert_array_equal(x[..., 2], wanted[..., 2])


@pytest.mark.parametrize(
    ("rgb", "skeleton"),
    [(Window(16, 16), SkeletonConfig().window), (Window(16, 8), SMALL.window)],
)
def test_centres_are_those_of_the_other_features(rgb: Window, skeleton: Window) -> None:
    np.testing.assert_array_equal(rgb.centers_K(100), skeleton.centers_K(100))


def test_the_two_largest_in_each_window_in_one_order() -> None:
    """The smallest is seen only while the second is away; the largest always comes first."""
    big, middle, small = walker(96, 120), walker(40, 80, 160), walker(96, 40, 260)
    joints = video((small, 0), (middle, 0), (big, 0), frames=96, ids=(5, 1, 9))
    config = replace(SMALL, window=Window(8, 8))
    windows = Windows(joints, config)
    assert [person.person_id for person in windows.people] == [9, 1, 5]
    assert windows.chosen_TP.tolist() == [[0, 1]] * 5 + [[0, 2]] * 7


def test_the_box_score_counts() -> None:
    joints = video((walker(16, 100), 0), (walker(16, 80, 200), 0), frames=16)
    joints.boxes_SM5[:, 0, 4] = 0.1
    found = people(joints, min_score=0.01, max_gap=8)
    chosen = choose(found, Window(8, 8).frames_KL(16), 1)
    assert [found[i].person_id for i in chosen[:, 0]] == [1, 1]


def test_equals_take_the_lower_id_first() -> None:
    track = walker(16)
    found = people(video((track, 0), (track, 0), frames=16, ids=(8, 2)), min_score=0.01, max_gap=8)
    assert [person.person_id for person in found] == [2, 8]
    assert choose(found, Window(8, 8).frames_KL(16), 1).tolist() == [[0], [0]]


def test_fewer_people_than_places() -> None:
    windows = Windows(video((walker(16), 0), frames=16), replace(SMALL, persons=3))
    assert windows.chosen_TP.tolist() == [[0, -1, -1]] * 2
    assert (windows.clips(slice(None))[:, 1:] == 0).all()


@pytest.mark.parametrize(("gap", "filled"), [(1, True), (3, True), (4, False)])
def test_gaps_up_to_a_length_are_filled(gap: int, filled: bool) -> None:
    joints = np.zeros((gap + 4, J, 3), np.float32)
    joints[[0, 1]], joints[[-2, -1]] = [10, 20, 0.4], [50, 0, 0.8]
    out = fill_gaps(joints, max_gap=3)
    np.testing.assert_array_equal(out[[0, 1, -2, -1]], joints[[0, 1, -2, -1]])
    share = np.arange(1, gap + 1)[:, None, None] / (gap + 1)
    line = (1 - share) * np.array([10, 20, 0.4]) + share * np.array([50, 0, 0.8])
    np.testing.assert_allclose(out[2:-2], np.broadcast_to(line, (gap, J, 3)) if filled else 0, atol=1e-5)


def test_single_joints_and_whole_persons_are_filled_but_never_beyond_the_ends() -> None:
    track = walker(20)
    holed = track.copy()
    holed[5:8, 9, 2] = 0.005  # below the least score
    holed[:2, 4] = 0
    joints = video((holed, 3), frames=30)
    joints.person_id_SM[10:14, 0] = -1  # frames 7 to 10 of the track
    person = people(joints, min_score=0.01, max_gap=4)[0]
    assert (person.start, person.joints_SJ3.shape) == (3, (20, J, 3))
    assert (person.joints_SJ3[:2, 4] == 0).all()
    assert (person.joints_SJ3[2:, :, 2] > 0).sum() == 18 * J - 6  # joint 9 is missing for 6 frames
    assert (person.joints_SJ3[5:11, 9] == 0).all()
    expected = track[6, 0] * 0.8 + track[11, 0] * 0.2
    np.testing.assert_allclose(person.joints_SJ3[7, 0], expected, rtol=1e-5)
    assert person.weight_S[7:11].tolist() == [0] * 4
    assert (person.at(np.array([0, 2, 23, 29])) == 0).all()


def test_scores_are_at_most_one() -> None:
    track = walker(8)
    track[..., 2] = 3.0
    assert people(video((track, 0), frames=8), min_score=0.01, max_gap=0)[0].joints_SJ3[..., 2].max() == 1


# --- coordinates and streams ----------------------------------------------------------------------


def test_picture_coordinates_by_hand() -> None:
    clip = np.zeros((1, 1, 1, J, 3), np.float32)
    clip[..., 0, :], clip[..., 1, :] = [0, 0, 1], [320, 180, 0.5]
    x = normalise(clip, "picture", WIDTH, HEIGHT)[0, 0, 0]
    assert x[:2].tolist() == [[-1, -1, 1], [1, 0.5, 0.5]]
    assert (x[2:] == 0).all()


def test_person_coordinates_by_hand() -> None:
    """Joints at 10 and 30, distance 10 from their middle: in units of 20."""
    clip = np.zeros((1, 1, 1, J, 3), np.float32)
    clip[..., 0, :], clip[..., 1, :] = [10, 50, 1], [30, 50, 1]
    x = normalise(clip, "person", WIDTH, HEIGHT)[0, 0, 0]
    assert x[:2].tolist() == [[-0.5, 0, 1], [0.5, 0, 1]]
    clip[..., 1:, :] = 0  # a single joint has no size
    assert normalise(clip, "person", WIDTH, HEIGHT)[0, 0, 0, 0].tolist() == [0, 0, 1]


def test_bones_by_hand() -> None:
    clip = np.zeros((1, 1, 1, J, 3), np.float32)
    clip[..., 0, :], clip[..., 5, :], clip[..., 7, :] = [0.1, 0.2, 0.8], [0.4, 0, 0.6], [0.5, 0.5, 1]
    clip[..., 11, :] = [0.1, 0.7, 0.4]
    bone = to_stream(clip, "bone")[0, 0, 0]
    np.testing.assert_allclose(bone[0], [0, 0, 0.8])
    np.testing.assert_allclose(bone[5], [0.3, -0.2, 0.7], atol=1e-6)
    np.testing.assert_allclose(bone[7], [0.1, 0.5, 0.8], atol=1e-6)
    np.testing.assert_allclose(bone[11], [0, 0.5, 0.6], atol=1e-6)
    assert (bone[[1, 9, 13]] == 0).all()  # either end is missing


def test_motion_by_hand() -> None:
    clip = np.zeros((1, 1, 3, J, 3), np.float32)
    clip[0, 0, :, 4] = [[0.1, 0.2, 0.8], [0.3, 0.1, 0.4], [0, 0, 0]]
    motion = to_stream(clip, "motion")[0, 0, :, 4]
    np.testing.assert_allclose(motion[0], [0.2, -0.1, 0.6], atol=1e-6)
    assert (motion[1:] == 0).all()  # the next one is missing, there is no next one


def test_joint_stream_is_what_it_was() -> None:
    clip = RNG.random((1, 2, 3, J, 3)).astype(np.float32)
    assert to_stream(clip, "joint") is clip


@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
@pytest.mark.parametrize("network", ["aagcn", "stgcn++"])
def test_streams_and_networks(tmp_path: Path, stream: str, network: str) -> None:
    config = replace(SMALL, network=network, stream=stream)  # type: ignore[arg-type]
    extractor = SkeletonFeatures(save_weights(config, tmp_path / "w.safetensors"), CPU)
    features = extractor.features(scene())
    assert features.isfinite().all()
    assert (features != 0).any(1).all()


@pytest.mark.parametrize("origin", ["picture", "person"])
@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
def test_what_is_missing_is_zero_and_says_so_in_every_stream(
    tmp_path: Path, stream: str, origin: str
) -> None:
    """Holes, numbers that are none, frames without anyone: score 0 marks all of them, and nothing is NaN."""
    config = replace(SMALL, stream=stream, origin=origin, max_gap=0, window=Window(16, 8))  # type: ignore[arg-type]
    joints = video((walker(20, 100), 0), (walker(24, 60, 200), 40), frames=80)  # nobody in 20..39, 64..79
    joints.joints_SMJ3[3:9, 0, 4] = np.nan
    joints.joints_SMJ3[10, 0, :, 0] = np.inf
    joints.joints_SMJ3[41:45, 1] = 0
    clips = Windows(joints, config).clips(slice(None))
    assert np.isfinite(clips).all()
    missing = clips[..., 2] == 0
    assert (clips[missing] == 0).all()
    assert ((clips[..., 2] > 0) & (clips[..., 2] <= 1))[~missing].all()
    assert missing[0, 0, 3:9, 4].all()
    assert missing[0, 0, 10].all()
    assert missing[0, 1].all()  # the second place, while one person is there
    features = SkeletonFeatures(save_weights(config, tmp_path / "w.safetensors"), CPU).features(joints)
    assert features.isfinite().all()
    # windows of 16 frames every 8: nobody in those that begin at 24, 64, 72
    assert (features == 0).all(1).tolist() == [k in (3, 8, 9) for k in range(10)]


# --- identity, weights, errors --------------------------------------------------------------------


def test_identity_names_everything(config: SkeletonConfig, extractor: SkeletonFeatures) -> None:
    seen = {json.dumps(extractor.identity(), sort_keys=True)}
    changes: tuple[dict[str, object], ...] = (
        {"window": Window(32, 4, -8)},
        {"persons": 3},
        {"stream": "bone"},
        {"origin": "person"},
        {"min_score": 0.2},
        {"max_gap": 3},
    )
    for change in changes:
        changed = SkeletonFeatures(replace(config, **change), CPU)  # type: ignore[arg-type]
        seen.add(json.dumps(changed.identity(), sort_keys=True))
    assert len(seen) == 1 + len(changes)
    assert config.weights not in next(iter(seen))  # content counts, not the name


def test_weights_that_do_not_fit(config: SkeletonConfig) -> None:
    for change in ({"base": 16}, {"blocks": (2, 1)}, {"network": "aagcn"}):
        with pytest.raises(WeightsError, match=r"small\.safetensors"):
            SkeletonFeatures(replace(config, **change), CPU)


@pytest.mark.parametrize(
    "bad",
    [{"persons": 0}, {"max_gap": -1}, {"min_score": 1.0}, {"stream": "jerk"}, {"origin": "hip"}, {"base": 1}],
)
def test_config_says_what_is_wrong(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        replace(SMALL, **bad)  # type: ignore[arg-type]


def test_joints_that_are_no_tracks() -> None:
    joints = scene()
    with pytest.raises(ValueError, match="need ids"):
        replace(joints, joints_SMJ3=joints.joints_SMJ3[:, :, :13])
    twice = joints.person_id_SM.copy()
    twice[40, 1] = 0
    with pytest.raises(ValueError, match="twice in frame 40"):
        replace(joints, person_id_SM=twice)
    with pytest.raises(ValueError, match="whole ids"):
        replace(joints, person_id_SM=joints.person_id_SM.astype(float))


def test_parts_are_means_over_their_joints_and_make_up_the_body(config: SkeletonConfig) -> None:
    windows = torch.rand(3, 2, 32, 17, 3)
    body = SkeletonFeatures(config, CPU)
    parts = SkeletonFeatures(replace(config, pooling="parts"), CPU)
    assert (body.dim, parts.dim) == (16, 80)
    by_part = parts.clips(windows).reshape(3, 5, 16)
    sizes = torch.tensor([5, 3, 3, 3, 3])[:, None]
    torch.testing.assert_close((by_part * sizes).sum(1) / 17, body.clips(windows), rtol=1e-4, atol=1e-5)
    assert (by_part[:, 0] - by_part[:, 3]).abs().max() > 0
    assert "pooling" not in body.identity()  # features made before there was a choice are still found
    assert parts.identity()["pooling"] == "parts"
    with pytest.raises(ValueError, match="pooling is body or parts"):
        replace(config, pooling="limbs")
