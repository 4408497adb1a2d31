"""The names of a data set's classes, from its own list beside the annotations: an id and a name per line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.text_file import TextFile, shown
from pipeline.inputs import printable, unprintable_character
from pipeline.labels import LabelError

_LINE = re.compile(r"c?([0-9]{1,4})\s+(\S.*)")  # "c012 Closing a door", "12\tUse_door", "12 Door"


@dataclass(frozen=True)
class ClassList:
    """Which ids a data set's classes have, which file names them, and what they are called without it."""

    ids: range
    file: str
    unnamed: str  # format of an id

    def names(self, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names in the order of the ids, and remarks: one where there is no list and ids are the names."""
        path = folder / self.file
        if not path.is_file():
            return self.by_id()
        named: dict[int, str] = {}
        for line, text in enumerate(TextFile.read(path).text.splitlines(), 1):
            if not text.strip():
                continue
            match = _LINE.fullmatch(text.strip())
            if not match or int(match[1]) in named:
                raise LabelError(
                    f"{printable(path)}, line {line}: {shown(text)}; expected a new id and a name"
                )
            named[int(match[1])] = match[2]
        return self.complete(named, path), ()

    def by_id(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids as names, and the remark that says so."""
        first, last = self.unnamed.format(self.ids[0]), self.unnamed.format(self.ids[-1])
        remark = f"no {self.file} beside it: classes are named by their ids, {first} to {last}"
        return tuple(self.unnamed.format(i) for i in self.ids), (remark,)

    def complete(self, named: Mapping[int, str], path: Path) -> tuple[str, ...]:
        """The names in order; LabelError unless every class has one of its own, in print."""
        if set(named) != set(self.ids) or len(set(named.values())) < len(named):
            raise LabelError(
                f"{printable(path)}: {len(set(named.values()))} names for {len(named)} class ids; expected "
                f"a name of its own for each of {self.ids[0]} to {self.ids[-1]}"
            )
        for name in named.values():
            if unprintable := unprintable_character(name):
                raise LabelError(f"{printable(path)}: class {shown(name)} holds {unprintable}")
        return tuple(named[i] for i in self.ids)
