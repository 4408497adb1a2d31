"""Threads beside the one that computes: bounded, errors where they belong, nothing left when it ends."""

import threading
from threading import Event

import pytest

from pipeline.ahead import Ahead, Behind, Guess

SOON = 60  # s; for what happens at once


def helpers():
    """Threads of this module that are alive."""
    return [t.name for t in threading.enumerate() if t.name.startswith(("ahead", "guess", "behind"))]


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert helpers() == []


def test_the_next_item_is_made_while_one_is_in_use_and_no_other():
    made = [Event() for _ in range(4)]

    def items():
        for i, event in enumerate(made):
            event.set()
            yield i

    with Ahead(items()) as ahead:
        assert next(ahead) == 0
        assert made[1].wait(SOON)
        assert not made[2].wait(0.2)
        assert list(ahead) == [1, 2, 3]
    with Ahead(iter(())) as empty:
        assert list(empty) == []


def test_an_error_comes_when_its_item_is_asked_for():
    def items():
        yield 0
        raise ZeroDivisionError

    with Ahead(items()) as ahead:
        assert next(ahead) == 0
        with pytest.raises(ZeroDivisionError):
            next(ahead)


def test_what_nobody_took_is_discarded():
    discarded = []
    with Ahead(iter("abc"), discarded.append) as ahead:
        assert next(ahead) == "a"
    assert discarded == ["b"]


class Maker:
    """Makes names in capitals; `slow` ones only once they are no longer wanted, or let through."""

    def __init__(self, slow=()):
        self.slow, self.let_through = slow, Event()
        self.made, self.discarded = [], []

    def __call__(self, name, stop):
        if name == "bad":
            raise ZeroDivisionError
        while name in self.slow and not stop.wait(0.01) and not self.let_through.is_set():
            pass
        self.made.append((name, stop.is_set()))
        return name.upper()

    def guess(self):
        return Guess(self, self.discarded.append)


def test_a_right_guess_is_made_once_and_waited_for():
    maker = Maker(slow=["a"])
    with maker.guess() as guess:
        guess.begin("a")
        maker.let_through.set()
        assert guess.take("a") == "A"
        assert guess.take("b") == "B"
    assert maker.made == [("a", False), ("b", False)]
    assert maker.discarded == []


def test_a_wrong_guess_is_stopped_and_discarded():
    maker = Maker(slow=["a", "c"])
    with maker.guess() as guess:
        guess.begin("a")
        assert guess.take("b") == "B"
        guess.begin("c")
    assert maker.made == [("a", True), ("b", False), ("c", True)]
    assert maker.discarded == ["A", "C"]


def test_the_error_of_a_guess_comes_if_it_was_right_and_not_otherwise():
    with Maker().guess() as guess:
        guess.begin("bad")
        with pytest.raises(ZeroDivisionError):
            guess.take("bad")
        guess.begin("bad")
        assert guess.take("a") == "A"


def test_one_call_is_under_way_behind_and_the_next_one_waits_for_it():
    begun, go_on, order = Event(), Event(), []

    def first():
        begun.set()
        assert go_on.wait(SOON)
        order.append("first")
        return 1

    def second():
        order.append("second")
        return 2

    with Behind() as behind:
        assert behind.do(first) == []
        assert begun.wait(SOON)
        assert order == []  # the caller goes on meanwhile
        go_on.set()
        assert behind.do(second) == [1]
        assert behind.rest() == [2]
        assert behind.rest() == []
    assert order == ["first", "second"]


def test_errors_of_calls_come_with_the_next_one_and_leaving_waits_for_the_last():
    done = []
    with Behind() as behind:
        behind.do(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            behind.do(lambda: 2)
        behind.do(lambda: done.append(1))
    assert done == [1]
