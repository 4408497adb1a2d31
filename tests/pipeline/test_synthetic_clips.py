"""Clips straight from the renderer."""

import numpy as np
import pytest

from pipeline.synthetic import DEMO_ACTIONS, PRETRAIN_ACTIONS, sample_clip, sample_clip_truth


def test_shapes_and_types():
    clip = sample_clip_truth(7, num_frames=6, size=(96, 64))
    assert clip.frames_LHW3.shape == (6, 64, 96, 3)
    assert clip.frames_LHW3.dtype == np.uint8
    assert clip.active_LK.shape == (6, len(PRETRAIN_ACTIONS))
    assert clip.joints_LMJ3.shape == (6, 3, 17, 3)
    assert clip.boxes_LM4.shape == (6, 3, 4)
    assert clip.flow_LHW2.shape == (6, 64, 96, 2)
    assert clip.joints_LMJ3.dtype == clip.boxes_LM4.dtype == clip.flow_LHW2.dtype == np.float32
    assert clip.person_M.any()
    assert not clip.joints_LMJ3[:, ~clip.person_M].any()


def test_equal_seeds_equal_clips_with_or_without_truth():
    frames, classes = sample_clip(11, DEMO_ACTIONS, num_frames=4)
    clip = sample_clip_truth((11,), DEMO_ACTIONS, num_frames=4)
    np.testing.assert_array_equal(frames, clip.frames_LHW3)
    np.testing.assert_array_equal(classes, clip.multi_hot_K)
    assert frames.shape == (4, 112, 112, 3)


def test_a_generator_moves_on():
    rng = np.random.default_rng(0)
    first, second = (sample_clip(rng, num_frames=2)[0] for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("actions", [DEMO_ACTIONS, PRETRAIN_ACTIONS])
def test_every_class_comes_up_and_some_clips_are_idle(actions):
    count, idle, several = np.zeros(len(actions)), 0, 0
    for seed in range(100):
        _, multi_hot_K = sample_clip(seed, actions, num_frames=4, fps=3.0, size=32)
        count += multi_hot_K
        idle += not multi_hot_K.any()
        several += multi_hot_K.sum() > 1
    assert count.min() >= 1
    assert 5 <= idle <= 30
    assert several >= 6


def test_labels_are_rarely_in_doubt():
    share = np.concatenate([sample_clip_truth(s, size=32).active_LK.mean(axis=0) for s in range(24)])
    assert ((share > 0.25) & (share < 0.6)).mean() < 0.02
