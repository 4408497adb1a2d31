"""How long one waits for what comes."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


class Stopwatch:
    """Adds up the time spent inside of iterators; what is done between their items does not count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, items: Iterable[T]) -> Iterator[T]:
        """The same items; waiting for each is counted."""
        iterator = iter(items)
        while True:
            started = time.monotonic()
            item = next(iterator, _END)
            self.seconds += time.monotonic() - started
            if item is _END:
                return
            yield item  # type: ignore[misc]
