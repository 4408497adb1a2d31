"""Windows: how many, which frames, whose centre."""

import pytest

from extractors.base import Window


@pytest.mark.parametrize("num_frames", [1, 2, 15, 16, 17, 200])
@pytest.mark.parametrize(
    "window", [Window(1, 1), Window(16, 8), Window(16, 16), Window(48, 16, -16), Window(4, 9)]
)
def test_every_video_gets_a_feature_per_stride(window, num_frames):
    frames = window.frames_KL(num_frames)
    assert frames.shape == (-(-num_frames // window.stride), window.length)
    for k, row in enumerate(frames):
        wanted = [k * window.stride + window.offset + i for i in range(window.length)]
        assert row.tolist() == [min(max(f, 0), num_frames - 1) for f in wanted]


def test_a_longer_window_with_its_offset_has_the_same_centres():
    assert Window(48, 16, -16).centers_K(100).tolist() == Window(16, 16).centers_K(100).tolist()


@pytest.mark.parametrize("wrong", [{"length": 0, "stride": 1}, {"length": 1, "stride": 0}])
def test_an_empty_window_is_refused(wrong):
    with pytest.raises(ValueError, match="length"):
        Window(**wrong)
