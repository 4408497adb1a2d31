"""The vocabulary: pairs share their poses, and motion tells them apart."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from pipeline.synthetic import ACTIONS, DEMO_ACTIONS, PRETRAIN_ACTIONS, Scene, SceneSpec, confusable_pairs
from pipeline.synthetic.actions import CHANNELS, FIDGETS, LEFT_ARM, LEFT_LEG, Action
from pipeline.synthetic.script import Motion

PAIRS = confusable_pairs(DEMO_ACTIONS) + confusable_pairs(PRETRAIN_ACTIONS)


def performed(action: Action, samples: int) -> np.ndarray:
    """Poses of one passage or of one cycle, at the middles of equal time steps: (samples, C)."""
    phases = (1.0, 0.0) if action.backward else (0.0, 1.0)
    motion = Motion(0, action.curve, (0.0, 1.0), phases, "both", 1.0, faded=False)
    if not action.is_posture:
        middles = (np.arange(samples) + 0.5) / samples
        return action.curve(1 - middles if action.backward else middles)
    return motion.at((np.arange(samples) + 0.5) / samples)


def test_vocabularies_are_disjoint_and_paired():
    assert len(DEMO_ACTIONS) == 8
    assert len(PRETRAIN_ACTIONS) >= 12
    assert not set(DEMO_ACTIONS) & set(PRETRAIN_ACTIONS)
    assert set(DEMO_ACTIONS + PRETRAIN_ACTIONS) == set(ACTIONS)
    assert sorted(sum(PAIRS, ())) == sorted(ACTIONS)


def test_no_curve_belongs_to_both_vocabularies():
    demo, pretrain = ({ACTIONS[name].curve for name in names} for names in (DEMO_ACTIONS, PRETRAIN_ACTIONS))
    assert not demo & pretrain


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_pair_shares_its_poses(pair):
    first, second = (performed(ACTIONS[name], 48).round(9) for name in pair)
    np.testing.assert_allclose(np.sort(first, axis=0), np.sort(second, axis=0), atol=1e-6)
    nearest = np.abs(first[:, None] - second).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-6


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_pair_differs_in_order_or_in_speed_alone(pair):
    first, second = (ACTIONS[name] for name in pair)
    assert (first.track, first.sides, first.is_posture) == (second.track, second.sides, second.is_posture)
    if first.backward == second.backward:
        assert second.rate_hz[0] >= 1.8 * first.rate_hz[1]
    else:
        assert first.rate_hz == second.rate_hz
        assert np.abs(performed(first, 48) - performed(second, 48)).max() > 0.25


@pytest.mark.parametrize("action", [*ACTIONS.values(), *FIDGETS], ids=lambda action: action.name)
def test_curve_keeps_to_its_track(action):
    pose = action.curve(np.linspace(0, 1, 33))
    assert pose.shape == (33, CHANNELS)
    moving = np.flatnonzero(np.ptp(pose, axis=0) > 1e-3)
    arms = (moving >= LEFT_ARM) & (moving < LEFT_LEG)
    assert len(moving)
    assert arms.all() if action.track == "arms" else not arms.any()


def poses_in_action(pair: tuple[str, str], seeds: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses in labelled time, their change within a fifth of a second, and which of the pair is done."""
    rng = np.random.default_rng(0)
    poses, changes, classes = [], [], []
    for seed in seeds:
        scene = Scene(SceneSpec(seed=(seed,), actions=pair, domain="test", persons=(1, 1), num_frames=500))
        for label in scene.labels():
            time = rng.uniform(label.start, label.end, 6)
            pose = scene.script.pose(0, time)
            poses.append(pose)
            changes.append(np.hstack([scene.script.pose(0, time + dt) - pose for dt in (-0.1, 0.1)]))
            classes += [pair.index(label.label)] * len(time)
    return np.concatenate(poses), np.concatenate(changes), np.array(classes)


@pytest.mark.parametrize("pair", confusable_pairs(DEMO_ACTIONS), ids="/".join)
def test_one_frame_does_not_reveal_the_class_but_motion_does(pair):
    pose, change, k = poses_in_action(pair, range(60))
    new_pose, new_change, new_k = poses_in_action(pair, range(100, 140))
    forest = RandomForestClassifier(40, min_samples_leaf=4, random_state=0)
    chance = max(new_k.mean(), 1 - new_k.mean())
    still = forest.fit(pose, k).score(new_pose, new_k)
    moving = forest.fit(np.hstack([pose, change]), k).score(np.hstack([new_pose, new_change]), new_k)
    assert still < chance + 0.08
    assert moving > 0.85


def test_unknown_action_is_named():
    with pytest.raises(ValueError, match=r"unknown actions \['dance'\].*raise_arms"):
        SceneSpec(seed=(0,), actions=("raise_arms", "dance"))


def test_lonely_action_is_refused():
    with pytest.raises(ValueError, match="pairs"):
        SceneSpec(seed=(0,), actions=("raise_arms", "lower_arms", "wave_fast"))
