"""What a video says of its colours, in words.

Both decoders convert by the tags of the stream: limited range (black is 16) or full (black is 0), and one of
several matrices from red, green, blue to luma and chroma. Untagged video is taken as limited and BT.601,
whatever its size, because the frames that the public networks were trained on were made that way.
The numbers are those of ISO/IEC 23091-2, which are FFmpeg's, too.
"""

_RANGES = {1: "limited", 2: "full"}
_MATRICES = {
    **{0: "rgb", 1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 8: "ycgco"},
    **{9: "bt2020", 10: "bt2020 (constant luminance)"},
}
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
_ASSUMED = "(assumed)"


def color_range(number: int) -> str:
    """Which values are black and white: "limited" or "full"; "limited (assumed)" where nobody says."""
    return _RANGES.get(number, f"limited {_ASSUMED}")


def color_matrix(number: int) -> str:
    """How colours were stored: "bt709", ...; "bt601 (assumed)" where nobody says."""
    return _MATRICES.get(number, f"bt601 {_ASSUMED}")


def transfer_note(number: int) -> str | None:
    """Of a curve that makes a picture look flat and dark to whoever takes it for an ordinary one."""
    kind = _HIGH_DYNAMIC_RANGE.get(number)
    return kind and f"high dynamic range ({kind}) taken as it is: flatter and darker than players show it"
