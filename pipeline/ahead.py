"""One step ahead and one behind: threads beside the one that computes, so that it neither reads nor writes.

read (the next item)  -->  compute (this one)  -->  write (the one before)
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Generic, Self, TypeVar

T = TypeVar("T")
_END = object()


class Ahead(Generic[T]):
    """An iterator whose next item is made in a thread while the last one is in use; a context manager.

    Errors of `items` come when their item is asked for. Leaving the context waits until the item that is
    being made is there, and hands it to `discard`: who has reason not to wait long makes `items` end.
    """

    def __init__(self, items: Iterator[T], discard: Callable[[T], object] = lambda _: None) -> None:
        self._items, self._discard = items, discard
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._coming = self._start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = self._coming.result()
        if item is _END:
            raise StopIteration
        self._coming = self._start()
        return item  # type: ignore[return-value]  # _END is no T

    def _start(self) -> "Future[T | object]":
        return self._thread.submit(next, self._items, _END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        if self._coming.exception() is None and (item := self._coming.result()) is not _END:
            self._discard(item)  # type: ignore[arg-type]


class Guess(Generic[T]):
    """Something made in a thread in the hope that it is asked for next; a context manager.

    `make(name, stop)` should give up soon once `stop` is set: nobody wants it then. What it made all the
    same is handed to `discard`.
    """

    def __init__(self, make: Callable[[str, Event], T], discard: Callable[[T], object]) -> None:
        self._make, self._discard = make, discard
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="guess")
        self._name: str | None = None
        self._coming: Future[T] | None = None
        self._stop = Event()

    def begin(self, name: str) -> None:
        """Make what is probably asked for next."""
        self.drop()
        self._name, self._stop = name, Event()
        self._coming = self._thread.submit(self._make, name, self._stop)

    def take(self, name: str) -> T:
        """What is asked for: made before, or now. Its errors come here."""
        if self._coming is not None and self._name == name:
            coming, self._coming = self._coming, None
            return coming.result()
        self.drop()
        return self._make(name, Event())

    def drop(self) -> None:
        """It was not to be."""
        coming, self._coming = self._coming, None
        if coming is not None:
            self._stop.set()
            if coming.exception() is None:
                self._discard(coming.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._thread.shutdown()


class Behind(Generic[T]):
    """Calls made in a thread, in order, at most one of them waiting to be finished; a context manager.

    Leaving the context waits for the last one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._last: Future[T] | None = None

    def do(self, call: Callable[[], T]) -> list[T]:
        """Begin a call once the one before is through, whose result, or error, comes."""
        finished = self.rest()
        self._last = self._thread.submit(call)
        return finished

    def rest(self) -> list[T]:
        """The result of the last call, unless it came before."""
        last, self._last = self._last, None
        return [] if last is None else [last.result()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
