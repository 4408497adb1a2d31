"""Time arithmetic against definitions written out in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.base import Window
from pipeline.timeline import Clock, centers_sec, frames_from_steps, targets

steps = st.lists(st.integers(1, 5000), max_size=60)
rates = st.sampled_from([1.0, 5.0, 12.5, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0])


def clock_of(steps: list[int], base: Fraction = Fraction(1, 1000)) -> Clock:
    return Clock(np.cumsum([0, *steps]).astype(np.int64), base)


@given(steps, rates)
def test_a_sample_is_the_nearest_frame_the_earlier_of_two(steps, fps):
    clock = clock_of(steps)
    pts = [Fraction(int(t)) * clock.time_base for t in clock.ticks_F]
    rate = Fraction(fps).limit_denominator(100_000)
    expected = []
    for j in range(int(pts[-1] * rate // 1) + 1):
        distances = [abs(t - j / rate) for t in pts]
        expected.append(distances.index(min(distances)))
    assert clock.sample(fps).tolist() == expected


@given(steps, rates, st.integers(1, 60))
def test_a_prefix_of_the_video_has_a_prefix_of_the_samples(steps, fps, frames):
    clock = clock_of(steps)
    head = clock.head(min(frames, clock.num_frames)).sample(fps)
    assert clock.sample(fps)[: len(head)].tolist() == head.tolist()


def test_sampling_stays_exact_where_64_bits_do_not_suffice():
    big = Clock(np.array([0, 10**15, 2 * 10**15], dtype=np.int64), Fraction(1, 10**15))
    assert big.sample(29.97).tolist() == [0] * 15 + [1] * 30 + [2] * 15


def test_the_same_rate_takes_every_frame_and_no_rate_too():
    clock = clock_of([40] * 99)
    assert clock.sample(25).tolist() == list(range(100)) == clock.sample(None).tolist()
    assert clock.sample(12.5).tolist() == list(range(0, 100, 2))
    assert clock.sample(50).tolist() == [i // 2 for i in range(199)]  # ties go to the earlier frame


@given(steps, st.fractions(min_value=Fraction(1, 10**6), max_value=1), st.sampled_from(["pts", "synthetic"]))
def test_a_clock_survives_json(steps, base, kind):
    clock = Clock(np.cumsum([0, *steps]).astype(np.int64), base, 1.25, kind)
    again = Clock.from_json(clock.to_json())
    assert again.ticks_F.tolist() == clock.ticks_F.tolist()
    assert (again.time_base, again.start_sec, again.kind) == (clock.time_base, 1.25, kind)


def test_a_constant_rate_takes_one_run_of_json():
    assert clock_of([40] * 9).to_json()["runs"] == [[40, 9]]


@pytest.mark.parametrize("ticks", [[], [1, 2], [0, 0], [0, 2, 1]])
def test_a_clock_that_does_not_run_forward_from_zero_is_refused(ticks):
    with pytest.raises(ValueError, match=r"ticks|clock"):
        Clock(np.array(ticks, dtype=np.int64), Fraction(1, 25))


def test_centres_on_a_sampled_grid_and_on_the_frames_themselves():
    clock = clock_of([40] * 33)  # 34 frames at 25 fps
    sampled = centers_sec(Window(16, 8), 17, clock, 12.5)
    np.testing.assert_allclose(sampled, [7.5 / 12.5, 15.5 / 12.5, 23.5 / 12.5])
    every = centers_sec(Window(16, 16), 34, clock, None)
    np.testing.assert_allclose(every, [7.5 / 25, 23.5 / 25, 39.5 / 25])  # the last one past the end
    longer = centers_sec(Window(48, 16, -16), 34, clock, None)
    np.testing.assert_allclose(longer, every)


def test_step_scores_are_linear_between_centres_and_held_at_the_ends():
    scores = frames_from_steps(
        np.array([[0.0], [1.0]]), np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.5, 3.0, 9.0])
    )
    np.testing.assert_allclose(scores[:, 0], [0, 0, 0.75, 1, 1])


def test_steps_that_go_back_in_time_are_taken_in_order():
    """As where the pieces of a recipe overlap."""
    centers = np.array([0.0, 2.0, 4.0, 3.0, 4.0, 6.0])
    scores = frames_from_steps(np.array([[0.0], [2], [4], [3], [4], [6]]), centers, np.arange(0, 7, 0.5))
    np.testing.assert_allclose(scores[:, 0], [*np.arange(0, 6.1, 0.5), 6])


def test_an_interval_holds_its_start_and_not_its_end():
    target = targets(
        [(1.0, 2.0, 1), (1.9, 2.1, 1), (5.0, 5.0, 0)], np.array([0.99, 1.0, 1.99, 2.0, 2.1, 5.0]), 2
    )
    assert target[:, 1].tolist() == [False, True, True, True, False, False]
    assert not target[:, 0].any()
