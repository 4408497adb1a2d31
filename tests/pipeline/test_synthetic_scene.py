"""Scenes: seeded pixels, and truth that agrees with them."""

import cv2
import numpy as np
import pytest

from pipeline.synthetic import DEMO_ACTIONS, Scene, SceneSpec
from pipeline.synthetic.cards import flow, motion
from pipeline.synthetic.textures import FAMILIES

SEEDS = range(6)


def scene(seed: int, **changes: object) -> Scene:
    return Scene(SceneSpec(seed=(seed,), **{"num_frames": 250} | changes))


def test_same_spec_same_pixels_and_truth():
    first, again = scene(3), scene(3)
    for i in (0, 100, 249):
        np.testing.assert_array_equal(first.frame(i), again.frame(i))
        np.testing.assert_array_equal(first.flow(i), again.flow(i))
        np.testing.assert_array_equal(first.joints(i), again.joints(i))
    assert first.labels() == again.labels()


def test_other_seed_other_pixels_and_labels():
    assert scene(3).labels() != scene(4).labels()
    assert (scene(3).frame(9) != scene(4).frame(9)).mean() > 0.5


def test_frames_do_not_depend_on_which_were_drawn_before():
    late = scene(5).frame(60)
    walked = scene(5)
    for i in range(60):
        walked.frame(i)
    np.testing.assert_array_equal(walked.frame(60), late)


def test_long_scene_is_entered_anywhere():
    it = scene(1, num_frames=20 * 60 * 25)
    assert len(it.script.labels) > 200
    last = it.spec.num_frames - 1
    picture, top_HW = it.frame_and_top(last)
    assert picture.std() > 10
    assert (it._stage.owners[top_HW] >= 0).sum() > 300
    assert np.isfinite(it.flow(last)).all()
    assert len(it._layout(last).number_C) < 100 < len(it._stage.cards)


def test_spec_survives_json():
    spec = SceneSpec(seed=(1, 2), size=(96, 64), domain="test")
    assert SceneSpec.from_json(spec.to_json()) == spec
    assert (
        SceneSpec.from_json({k: list(v) if isinstance(v, tuple) else v for k, v in spec.to_json().items()})
        == spec
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"size": (33, 64)}, "even sides"),
        ({"domain": "mars"}, "mars"),
        ({"num_frames": 0}, "frame"),
        ({"persons": (2, 4)}, "1 to 3 persons"),
    ],
)
def test_bad_spec_is_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        scene(0, **changes)


def test_frame_outside_the_scene_is_refused():
    with pytest.raises(IndexError, match="250"):
        scene(0).frame(250)


@pytest.mark.parametrize("domain", ["train", "test"])
def test_labels_lie_inside_and_overlap_and_leave_background(domain):
    quiet, overlap, lengths = [], [], []
    for seed in range(30):
        it = scene(seed, domain=domain, num_frames=500)
        for label in it.labels():
            assert 0 <= label.start < label.end <= 20.0
            assert label.label in DEMO_ACTIONS
            assert 0 <= label.person < it.num_persons
            lengths.append(label.end - label.start)
        active_FK = it.active(np.arange(500))
        quiet.append(1 - active_FK.any(axis=1).mean())
        overlap.append((active_FK.sum(axis=1) > 1).mean())
    assert 0.4 < np.mean(quiet) < 0.6
    assert np.mean(overlap) > 0.1
    assert min(lengths) >= 1.49
    assert max(lengths) < 6.0


def test_one_person_does_two_things_at_once():
    both = [
        (a, b)
        for seed in range(20)
        for labels in [scene(seed).labels()]
        for a in labels
        for b in labels
        if a.person == b.person and a.label < b.label and a.start < b.end and b.start < a.end
    ]
    assert both


def test_one_track_does_one_thing_at_a_time():
    arms = set(DEMO_ACTIONS[:6])
    for seed in range(30):
        busy: dict[tuple[int, bool], float] = {}
        for label in scene(seed, num_frames=500).labels():
            slot = (label.person, label.label in arms)
            assert label.start >= busy.get(slot, 0.0)
            busy[slot] = label.end


def test_raised_arms_stay_up_until_lowered():
    level = []
    for seed in range(40):
        it = scene(seed, actions=("raise_arms", "lower_arms"), persons=(1, 1), num_frames=500)
        for label in it.labels():
            before, after = (np.abs(it.script.pose(0, np.array([t]))).max() for t in (label.start, label.end))
            level.append((label.label, before, after))
    assert {name for name, *_ in level} == {"raise_arms", "lower_arms"}
    for name, before, after in level:
        assert (before < 0.01 and after > 2.0) if name == "raise_arms" else (before > 2.0 and after < 0.01)


@pytest.mark.parametrize(("name", "sign"), [("step_right", 1), ("step_left", -1)])
def test_steps_go_the_way_they_are_called(name, sign):
    moves = []
    for seed in SEEDS:
        it = scene(seed, actions=("step_right", "step_left"), persons=(1, 1))
        for label in it.labels():
            if label.label == name:
                x = [it.joints(int(t * 25))[0, 11:13, 0].mean() for t in (label.start, label.end - 0.04)]
                moves.append((x[1] - x[0]) * sign)
    assert moves
    assert min(moves) > 8


def test_clockwise_hand_turns_clockwise_on_the_screen():
    turns = {"circle_clockwise": [], "circle_anticlockwise": []}
    for seed in range(5):
        it = scene(seed, actions=tuple(turns), persons=(1, 1), domain="test")
        for label in it.labels():
            joints = np.stack(
                [it.joints(int(t * 25))[0] for t in np.arange(label.start + 0.3, label.end - 0.4, 0.04)]
            )
            angles = []
            for shoulder, wrist in ((5, 9), (6, 10)):
                x, y = (joints[:, wrist, :2] - joints[:, shoulder, :2]).T
                angles.append(
                    np.ptp(np.unwrap(np.arctan2(y, x)))
                    * np.sign(np.unwrap(np.arctan2(y, x))[-1] - np.arctan2(y, x)[0])
                )
            turns[label.label].append(max(angles, key=abs))
    assert min(turns["circle_clockwise"]) > 2  # y points down: positive angles turn clockwise
    assert max(turns["circle_anticlockwise"]) < -2


@pytest.mark.parametrize("seed", SEEDS)
def test_joints_lie_in_boxes(seed):
    it = scene(seed, domain="test" if seed % 2 else "train")
    for i in range(0, 250, 25):
        joints_MJ3, boxes_M4 = it.joints(i), it.boxes(i)
        assert joints_MJ3.shape == (it.num_persons, 17, 3)
        assert np.isfinite(joints_MJ3).all()
        assert set(np.unique(joints_MJ3[..., 2])) <= {0.0, 1.0}
        for joints_J3, (x0, y0, x1, y1) in zip(joints_MJ3, boxes_M4, strict=True):
            seen = joints_J3[joints_J3[:, 2] == 1]
            assert (seen[:, 0] >= x0 - 0.5).all()
            assert (seen[:, 0] <= x1 + 0.5).all()
            assert (seen[:, 1] >= y0 - 0.5).all()
            assert (seen[:, 1] <= y1 + 0.5).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_hold_the_whole_person_and_little_else(seed):
    it = scene(seed, persons=(1, 1))
    owners = it._stage.owners
    for i in range(0, 250, 50):
        top_HW = it.frame_and_top(i)[1]
        y, x = np.nonzero(owners[top_HW] == 0)
        drawn = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
        np.testing.assert_allclose(it.boxes(i)[0], drawn, atol=0.04 * 144)


def test_most_joints_are_visible_and_some_are_hidden():
    visible = np.concatenate([scene(seed).joints(125)[..., 2].ravel() for seed in range(12)])
    assert 0.8 < visible.mean() < 1.0


def warped_back(picture: np.ndarray, flow_HW2: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(picture, x + flow_HW2[..., 0], y + flow_HW2[..., 1], cv2.INTER_LINEAR)


def away_from_edges(top_HW: np.ndarray) -> np.ndarray:
    """Pixels whose 5 x 5 neighbours belong to the same card: (H, W) bool."""
    kernel = np.ones((5, 5), np.uint8)
    return cv2.erode(top_HW, kernel) == cv2.dilate(top_HW, kernel)


@pytest.mark.parametrize("seed", SEEDS)
def test_flow_brings_the_next_frame_back(seed):
    it = scene(seed, domain="any")
    errors, changes = [], []
    for i in range(20, 240, 40):
        now, top_HW = it.frame_and_top(i)
        after, next_top_HW = it.frame_and_top(i + 1)
        flow_HW2 = it.flow(i, top_HW)
        y, x = np.mgrid[:144, :192]
        to_x, to_y = np.round(x + flow_HW2[..., 0]).astype(int), np.round(y + flow_HW2[..., 1]).astype(int)
        sure = away_from_edges(top_HW) & (to_x >= 3) & (to_x < 189) & (to_y >= 3) & (to_y < 141)
        to_x, to_y = to_x.clip(0, 191), to_y.clip(0, 143)
        sure &= away_from_edges(next_top_HW)[to_y, to_x] & (next_top_HW[to_y, to_x] == top_HW)  # still seen
        assert sure.mean() > 0.5
        sure &= np.linalg.norm(flow_HW2, axis=2) > 0.5
        errors.append(np.abs(warped_back(after, flow_HW2).astype(float) - now).max(axis=2)[sure])
        changes.append(np.abs(after.astype(float) - now).max(axis=2)[sure])
    error, change = np.concatenate(errors), np.concatenate(changes)
    assert np.median(error) <= 2
    assert np.percentile(error, 95) <= 10
    assert error.mean() < 0.5 * change.mean()


def test_joints_moved_by_flow_land_on_the_next_joints():
    distances = []
    for seed in SEEDS:
        it = scene(seed)
        for i in (*range(10, 120, 23), 127, 128, 200):  # places are computed in blocks of 128
            now, after, flow_HW2 = it.joints(i), it.joints(i + 1), it.flow(i)
            seen = now[..., 2] == 1
            x, y = np.round(now[seen][:, :2]).astype(int).T
            distances.append(np.linalg.norm(now[seen][:, :2] + flow_HW2[y, x] - after[seen][:, :2], axis=1))
    distance = np.concatenate(distances)
    assert np.median(distance) < 0.15
    assert np.percentile(distance, 90) < 1.0


def test_flow_follows_any_two_placements():
    rng = np.random.default_rng(0)
    now, after = (
        np.concatenate([np.eye(2) * 2 + 0.4 * rng.random((3, 2, 2)), rng.random((3, 2, 1))], axis=2)
        for _ in range(2)
    )
    texel = rng.random(2) * 5
    for c in range(3):
        here, there = (placed[c] @ [*texel, 1] for placed in (now, after))
        moved = motion(now, after)[c] @ [*here, 1]
        np.testing.assert_allclose(here + moved, there, atol=1e-9)
    top_HW = np.array([[0, 1], [2, 0]])
    np.testing.assert_allclose(
        flow(motion(now, after), top_HW)[1, 0], motion(now, after)[2] @ [0, 1, 1], rtol=1e-5
    )


def test_the_background_moves():
    moved = [
        np.linalg.norm(it.flow(50)[it._stage.owners[it.frame_and_top(50)[1]] < 0], axis=1).mean()
        for it in map(scene, SEEDS)
    ]
    assert min(moved) > 0.05


def test_domains_look_different():
    assert not set(FAMILIES["train"]) & set(FAMILIES["test"])
    redness = {}
    for domain in ("train", "test"):
        values = []
        for seed in range(8):
            it = scene(seed, domain=domain)
            picture, top_HW = it.frame_and_top(50)
            person = picture[it._stage.owners[top_HW] >= 0].astype(float)
            values.append(person[:, 0].mean() - person[:, 2].mean())
        redness[domain] = np.array(values)
    assert redness["train"].max() < redness["test"].min()


@pytest.mark.parametrize(("domain", "low", "high"), [("train", 0.68, 0.82), ("test", 0.42, 0.58)])
def test_context_hints_at_the_class_in_the_training_domain_alone(domain, low, high):
    agrees = []
    for seed in range(400):
        it = scene(seed, domain=domain, num_frames=500)
        agrees += [
            label.label.endswith("_clockwise") == (it.script.context == 0)
            for label in it.labels()
            if label.label.startswith("circle")
        ]
    assert low < np.mean(agrees) < high
