"""The line between two feature sequences is found again where one was put, and not where there is none."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alignment import IDENTITY, Line, Pair, align, along, cosine, difference, plain_ratios

DIM = 32


def watch(seed, center_sec, length_sec=0.6):
    """Features of a made-up video: means, over windows around these times, of what keeps changing."""
    rng = np.random.default_rng(seed)
    rate_FD, phase_FD = rng.uniform(0.05, 1.2, (12, DIM)), rng.uniform(0, 6.28, (12, DIM))
    at_TL11 = (np.asarray(center_sec)[:, None] + np.linspace(-0.5, 0.5, 8) * length_sec)[:, :, None, None]
    return (3 + np.sin(6.28 * rate_FD * at_TL11 + phase_FD).mean(axis=2)).mean(axis=1).astype(np.float32)


def steps(count, step_sec=0.64, start_sec=0.0):
    return start_sec + np.arange(count) * step_sec


def noisy(x_TD, share, seed=0):
    return x_TD + share * x_TD.std(axis=0) * np.random.default_rng(seed).normal(size=x_TD.shape).astype("f4")


def test_equal_features_are_on_the_identity():
    pairs = [Pair(str(i), watch(i, steps(20)), watch(i, steps(20))) for i in range(3)]
    found = align(pairs)
    assert found.line == IDENTITY
    assert found.difference == found.difference_as_is == pytest.approx(0, abs=1e-6)


@settings(max_examples=30)
@given(shift=st.integers(-6, 6), count=st.integers(16, 80), noise=st.sampled_from([0.0, 0.1, 0.3]))
def test_a_shift_of_whole_steps_is_found_exactly(shift, count, noise):
    whole = watch(count, steps(count + 12))
    a, b = whole[6 : 6 + count], noisy(whole[6 + shift : 6 + shift + count], noise)
    assert align([Pair("x", a, b)]).line == Line(1.0, float(shift))


def test_videos_too_short_to_tell_are_told_by_all_together():
    pairs = [Pair(str(i), watch(i, steps(5)), watch(i, steps(5, start_sec=0.64))) for i in range(6)]
    assert align(pairs).line == Line(1.0, 1.0)


@pytest.mark.parametrize("part", [0.5, -0.5, 1.5])
def test_a_shift_of_a_part_of_a_step_is_found_nearly(part):
    pairs = [Pair(str(i), watch(i, steps(60)), watch(i, steps(60, start_sec=part * 0.64))) for i in range(4)]
    line = align(pairs).line
    assert line.ratio == 1
    assert line.shift == pytest.approx(part, abs=0.1)


@pytest.mark.parametrize(
    ("fps_a", "fps_b", "count"),
    [(25, 24, 100), (24, 25, 100), (30, 25, 60), (12.5, 25, 60), (50, 25, 60), (30, 30000 / 1001, 2500)],
)
def test_another_rate_is_found_as_the_ratio_of_two_rates(fps_a, fps_b, count):
    a = watch(1, steps(count, 16 / fps_a), 16 / fps_a)
    b = watch(1, steps(count, 16 / fps_b), 16 / fps_b)
    found = align([Pair("x", a, b)])
    assert found.line.ratio == pytest.approx(fps_a / fps_b, abs=0.3 / count)
    plain = Fraction(fps_a).limit_denominator(1001) / Fraction(fps_b).limit_denominator(1001)
    assert found.line.ratio == float(plain)
    assert abs(found.line.shift) < 0.3
    assert found.difference < found.difference_as_is / 2


def test_noise_is_not_taken_for_a_shift_or_another_rate():
    for share in (0.1, 0.5, 1.0):
        pairs = [Pair(str(i), x := watch(i, steps(40)), noisy(x, share, i)) for i in range(4)]
        assert align(pairs).line == IDENTITY


def test_features_of_other_videos_are_not_alike():
    pairs = [Pair(str(i), watch(i, steps(40)), watch(i + 100, steps(40))) for i in range(4)]
    assert align(pairs).difference > 0.7


def test_lines_that_join_little_of_a_video_are_not_considered():
    x = watch(0, steps(20))
    pair = Pair("x", x, x)
    assert np.isnan(difference([pair], Line(1.0, 15.0)))
    assert difference([pair], IDENTITY) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_ones_do_no_harm(count):
    x = watch(0, steps(count))
    assert align([Pair("x", x, x)]).line == IDENTITY


def test_what_does_not_change_says_nothing():
    still = np.tile(watch(0, steps(1)), (20, 1))
    found = align([Pair("x", still, still)])
    assert found.line == IDENTITY
    assert np.isnan(found.difference)


def test_sides_are_laid_together_between_steps():
    a = np.array([[0.0, 1], [1, 1], [2, 1]], np.float32)
    pair = Pair("x", a, np.ones((4, 2), np.float32))
    aligned = along(pair, Line(1.0, 0.5))
    assert aligned.step_N.tolist() == [0, 1]
    assert aligned.a_ND[:, 0].tolist() == [0.5, 1.5]
    assert along(pair, Line(2.0, 0.0)).a_ND[:, 0].tolist() == [0, 2]


def test_the_cosine_of_nothing_is_not_a_number():
    found = cosine(np.array([[3, 4], [0, 0], [1, 0]]), np.array([[3, 4], [1, 1], [-2, 0]]))
    np.testing.assert_allclose(found, [1, np.nan, -1])


def test_plain_ratios_are_simple_and_near_enough():
    assert plain_ratios(25 / 24, 500)[0] == Fraction(25, 24)
    assert plain_ratios(2.0004, 100)[0] == 2
    assert plain_ratios(30 / 29.97, 3000)[0] == Fraction(1001, 1000)
    assert plain_ratios(30 / 29.97, 100)[0] == 1
    assert plain_ratios(1.3, 10_000) == []
