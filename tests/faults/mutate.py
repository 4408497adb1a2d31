"""Broken videos from whole ones: every mutation is a function of the file's bytes and a random generator.

Those that know MP4 and MOV find boxes by their four letters (ISO/IEC 14496-12); on a file without the box
they fall back to flipped bits. The same seed gives the same bytes.
"""

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytearray, random.Random], None]

_BOXES = [
    *(b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"edts", b"elst", b"mdia", b"mdhd", b"hdlr", b"minf"),
    *(b"stbl", b"stsd", b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"avc1", b"avcC", b"mdat"),
]
_HUGE = [0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFFFF0, 0x40000000, 0x10000000, 100_000_000]


def bit_flips(data: bytearray, rng: random.Random) -> None:
    """A few bits anywhere, up to one in a thousand bytes."""
    for _ in range(rng.randint(1, max(2, len(data) // 1000))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def header_flips(data: bytearray, rng: random.Random) -> None:
    """Bits of the first kilobyte, and of the last two, where the index is."""
    for _ in range(rng.randint(1, 12)):
        place = rng.randrange(min(1024, len(data)))
        place = place if rng.random() < 0.5 else max(0, len(data) - 1 - 2 * place)
        data[place] ^= 1 << rng.randrange(8)


def truncation(data: bytearray, rng: random.Random) -> None:
    """The end is missing."""
    del data[rng.randrange(1, len(data)) :]


def lost_block(data: bytearray, rng: random.Random) -> None:
    """A piece in the middle is missing: everything after it has moved."""
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 1 + len(data) // 8)]


def zeroed_block(data: bytearray, rng: random.Random) -> None:
    """What a disk or a download leaves of a sector."""
    start = rng.randrange(len(data))
    size = min(rng.randint(1, 1 + len(data) // 8), len(data) - start)
    data[start : start + size] = bytes(size)


def noise_block(data: bytearray, rng: random.Random) -> None:
    """Random bytes over a piece."""
    start = rng.randrange(len(data))
    size = min(rng.randint(1, 1 + len(data) // 8), len(data) - start)
    data[start : start + size] = rng.randbytes(size)


def spliced_atoms(data: bytearray, rng: random.Random) -> None:
    """A box of the file, once more, in the place of or within another one."""
    starts = _find(data, _BOXES)
    if len(starts) < 2:
        return bit_flips(data, rng)
    source, target = rng.sample(starts, 2)
    size = min(struct.unpack_from(">I", data, source)[0], 4096)
    piece = bytes(data[source : source + size])
    inserted = rng.random() < 0.5
    data[target : target + (0 if inserted else size)] = piece
    return None


def swapped_names(data: bytearray, rng: random.Random) -> None:
    """Two boxes under one another's names."""
    starts = _find(data, _BOXES)
    if len(starts) < 2:
        return bit_flips(data, rng)
    a, b = rng.sample(starts, 2)
    data[a + 4 : a + 8], data[b + 4 : b + 8] = data[b + 4 : b + 8], data[a + 4 : a + 8]
    return None


def giant_sizes(data: bytearray, rng: random.Random) -> None:
    """A box, or an element of Matroska, that says it goes on far beyond the file."""
    starts = _find(data, _BOXES)
    if starts:
        struct.pack_into(">I", data, rng.choice(starts), rng.choice(_HUGE))
    else:  # EBML and RIFF: somewhere in the headers
        struct.pack_into(">I", data, rng.randrange(4, min(len(data) - 4, 600)), rng.choice(_HUGE))


def giant_counts(data: bytearray, rng: random.Random) -> None:
    """A table of the index that announces billions of entries."""
    starts = _find(data, [b"stts", b"ctts", b"stsc", b"stco", b"stss", b"stsz", b"elst", b"stsd"])
    if not starts:
        return bit_flips(data, rng)
    start = rng.choice(starts)
    count = start + (16 if data[start + 4 : start + 8] == b"stsz" else 12)
    struct.pack_into(">I", data, count, rng.choice(_HUGE))
    return None


def declared_frames(data: bytearray, rng: random.Random) -> None:
    """2^31 frames of a byte or of none, in one run of equal durations."""
    if not (sizes := _find(data, [b"stsz"])):
        return bit_flips(data, rng)
    count = rng.choice([2**31, 2**31 - 1, 50_000_000, 2_000_000])
    struct.pack_into(">II", data, rng.choice(sizes) + 12, rng.choice([1, 1, 2, 4096]), count)
    for start in _find(data, [b"stts"]):
        struct.pack_into(">II", data, start + 12, 1, count)
    for start in _find(data, [b"stsc"]):
        struct.pack_into(">IIII", data, start + 12, 1, 1, rng.choice([1, count]), 1)
    return None


def zero_rate(data: bytearray, rng: random.Random) -> None:
    """No time passes: a time scale, or all durations, of zero."""
    if rng.random() < 0.5 and (starts := _find(data, [b"mdhd", b"mvhd"])):
        for start in starts:
            struct.pack_into(">I", data, start + 20, 0)
    elif starts := _find(data, [b"stts"]):
        for start in starts:
            count = min(struct.unpack_from(">I", data, start + 12)[0], 1000)
            for entry in range(count):
                if start + 24 + 8 * entry <= len(data):
                    struct.pack_into(">I", data, start + 20 + 8 * entry, 0)
    else:
        bit_flips(data, rng)


def absurd_times(data: bytearray, rng: random.Random) -> None:
    """Frames that last for years, or a clock of one tick per second."""
    starts = _find(data, [b"stts"])
    if not starts:
        return bit_flips(data, rng)
    for start in starts:
        struct.pack_into(">I", data, start + 20, rng.choice([0x7FFFFFFF, 0x7FFFFFF0, 1_000_000_000]))
    for start in _find(data, [b"mdhd"]):
        struct.pack_into(">I", data, start + 20, rng.choice([1, 1, 600, 0xFFFFFFFF]))
    return None


def giant_picture(data: bytearray, rng: random.Random) -> None:
    """Width and height beyond reason: in the pictures themselves (JPEG), or in the track's headers."""
    width, height = rng.choice(
        [(65_500, 65_500), (65_500, 1), (1, 65_500), (20_000, 20_000), (12_000, 9_000)]
    )
    pictures = _all(data, b"\xff\xc0\x00\x11\x08")
    for start in pictures:
        struct.pack_into(">HH", data, start + 5, height, width)
    entries = _all(data, b"avc1") + _all(data, b"mp4v") + _all(data, b"vp09")
    for start in entries:
        if start + 32 <= len(data):
            struct.pack_into(">HH", data, start + 28, width, height)
    if not pictures and not entries:
        bit_flips(data, rng)


MUTATIONS: tuple[Mutation, ...] = (
    *(bit_flips, header_flips, truncation, lost_block, zeroed_block, noise_block, spliced_atoms),
    *(swapped_names, giant_sizes, giant_counts, declared_frames, zero_rate, absurd_times, giant_picture),
)


# What a file has to hold for a mutation to be more than flipped bits.
_NEEDS = {
    **dict.fromkeys((spliced_atoms, swapped_names, giant_counts, declared_frames, zero_rate), b"stsz"),
    absurd_times: b"stsz",
    giant_picture: b"\xff\xc0\x00\x11\x08",
}


def swapped_headers(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one file and the rest of another."""
    cut = rng.choice([8, 32, 48, 200, 1000, 4000])
    return other[:cut] + data[cut:]


def mutants(seeds: dict[str, bytes], count: int, seed: int) -> dict[str, bytes]:
    """File name -> bytes: `count` of them, all mutations and all of `seeds` in turn."""
    rng = random.Random(seed)
    kinds = [*MUTATIONS, swapped_headers]
    found = {}
    for i in range(count):
        kind = kinds[i % len(kinds)]
        names = sorted(name for name, data in seeds.items() if data and _NEEDS.get(kind, b"") in data)
        name = names[(seed + i // len(kinds)) % len(names)]
        if kind is swapped_headers:
            broken = bytearray(swapped_headers(seeds[name], seeds[rng.choice(names)], rng))
        else:
            broken = bytearray(seeds[name])
            kind(broken, rng)
        stem, _, suffix = name.rpartition(".")
        found[f"{i:03d}-{kind.__name__}-{stem}.{suffix}"] = bytes(broken)
    return found


def _find(data: bytearray, names: list[bytes]) -> list[int]:
    """Where boxes of these names begin, with room behind for what is written into them."""
    return sorted(at - 4 for name in names for at in _all(data, name) if at >= 4 and at + 32 <= len(data))


def _all(data: bytearray, pattern: bytes) -> list[int]:
    found, at = [], data.find(pattern)
    while at >= 0 and len(found) < 1000:
        found.append(at)
        at = data.find(pattern, at + 1)
    return found
