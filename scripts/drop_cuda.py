"""Make an installed CUDA build of torch run without CUDA's libraries: the image's variant `cpu`.

    unused=$(python scripts/drop_cuda.py) && uv pip uninstall $unused

The registry has CUDA builds of torch and torchvision alone, and their libraries name 3 GB of others that
must be found before torch can be imported, although a CPU calls nothing in them. This cuts the links to
them, in place, and prints the packages that nothing needs afterwards. Versions, hashes and the code that
computes on a CPU stay those of the lock. What would call CUDA afterwards is a crash, so the GPUs have to be
hidden (CUDA_VISIBLE_DEVICES=).

How: a library is named where it is to be loaded (DT_NEEDED) and where versions of its symbols are asked
for; both get the name of the C library, which is always there. A symbol that is found nowhere is an error
unless it is weak, so all that come from outside are made weak (System V ABI, chapters 4 and 5).
"""

import mmap
import struct
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

# `import torch` calls these two: they say that there is no GPU
KEPT = ("nvidia-cuda-runtime", "nvidia-cuda-cupti")
ALWAYS_THERE = b"libc.so.6"
DYNAMIC, DYNSYM, VERSIONS_NEEDED = 6, 11, 0x6FFFFFFE  # sh_type
NEEDED = 1  # d_tag
WEAK_SYMBOL, WEAK_VERSION = 2, 2  # binding, vna_flags


def unused_packages() -> dict[str, set[bytes]]:
    """Installed packages that only a GPU needs, and the names of the shared libraries in each."""
    packages = {}
    for package in metadata.distributions():
        name = package.name.lower()
        if name.startswith(("nvidia-", "cuda-", "triton")) and name not in KEPT:
            names = {path.name.encode() for path in package.files or ()}
            packages[name] = {library for library in names if b".so" in library}
    return packages


class SharedObject:
    """A 64-bit little-endian ELF shared object, changed where it lies."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        start, size, count = self._read("Q", 40)[0], *self._read("HH", 58)
        heads = [self._read("IIQQQQIIQQ", start + size * i) for i in range(count)]
        self._extent = {head[1]: (head[4], head[5]) for head in heads}  # sh_type to sh_offset, sh_size
        self._strings = next(heads[head[6]][4] for head in heads if head[1] == DYNSYM)

    def unlink(self, libraries: set[bytes]) -> int:
        """Load without `libraries`; the number of links that were cut."""
        needed = {self._name(at + 8, "Q"): at + 8 for at in self._needed()}
        if not libraries & needed.keys():
            return 0
        (instead,) = self._read("Q", needed[ALWAYS_THERE])
        for library in libraries & needed.keys():
            self._write("Q", needed[library], instead)
        for at in self._versions_needed():
            if self._name(at + 4, "I") in libraries:
                self._write("I", at + 4, instead)
                self._weaken_versions(at)
        self._weaken_symbols()
        return len(libraries & needed.keys())

    def _needed(self) -> Iterator[int]:
        start, size = self._extent[DYNAMIC]
        return (at for at in range(start, start + size, 16) if self._read("Q", at)[0] == NEEDED)

    def _versions_needed(self) -> Iterator[int]:
        """Verneed entries: version, count of auxiliaries, file, first auxiliary, next entry."""
        at, step = self._extent[VERSIONS_NEEDED][0], 1
        while step:
            yield at
            (step,) = self._read("I", at + 12)
            at += step

    def _weaken_versions(self, entry: int) -> None:
        """Vernaux entries: hash, flags, version, name, next entry."""
        count, _, first = self._read("HII", entry + 2)
        at = entry + first
        for _ in range(count):
            self._write("H", at + 4, WEAK_VERSION)
            at += self._read("I", at + 12)[0]

    def _weaken_symbols(self) -> None:
        """Symbols (name, info, other, section, value, size) that no section of this file defines."""
        start, size = self._extent[DYNSYM]
        for at in range(start + 24, start + size, 24):  # the first one is void
            _, info, _, section = self._read("IBBH", at)
            if section == 0:
                self._write("B", at + 4, WEAK_SYMBOL << 4 | info & 15)

    def _name(self, at: int, kind: str) -> bytes:
        start = self._strings + self._read(kind, at)[0]
        return self._data[start : self._data.find(b"\0", start)]

    def _read(self, kinds: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from("<" + kinds, self._data, at)

    def _write(self, kind: str, at: int, value: int) -> None:
        struct.pack_into("<" + kind, self._data, at, value)


def unlink(path: Path, libraries: set[bytes]) -> int:
    """Have the shared object `path` load without `libraries`; the number of links that were cut."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path}: expected a 64-bit little-endian ELF file, found {data[:6]!r}")
        return SharedObject(data).unlink(libraries)


def main() -> None:
    packages = unused_packages()
    libraries = set().union(*packages.values())
    torch = metadata.distribution("torch").locate_file("torch/lib")
    cut = sum(unlink(path, libraries) for path in Path(str(torch)).glob("libtorch*.so"))
    if not cut:
        raise SystemExit(f"nothing to cut in {torch}: is this a CUDA build of torch?")
    print(*packages)


if __name__ == "__main__":
    main()
