"""The order of work, and what becomes of videos whose workers are lost; here workers are no processes."""

from collections import Counter, deque

import pytest

from pipeline.engines import dispatch
from pipeline.engines.crew import Lost, Said
from pipeline.engines.dispatch import MOST_LOSSES, MOST_TOGETHER, TOGETHER_BYTES, Dispatch
from pipeline.engines.messages import Failed, Outcome, Ready, Trouble
from pipeline.inputs import Source, UsageError
from pipeline.job import WorkStopped
from pipeline.progress import Progress

READY = Ready("host", 1, "cpu", 1, {}, {}, "")
BUSY = "busy"


class FakeCrew:
    """Workers that answer what `script` says of the first video they get, one word each time; else "made"."""

    def __init__(self, most=2, script=(), begin=()):
        self.most = most
        self.script = {name: deque(answers) for name, answers in dict(script).items()}
        self.begin = deque(begin)
        self.given, self.hired, self._answers = [], 0, deque()

    def hire(self):
        self.hired += 1
        self._say(self.hired, self.begin.popleft() if self.begin else READY)
        return self.hired

    def give(self, worker, batch):
        names = [source.name for source in batch]
        self.given.append(names)
        script = self.script.get(names[0])
        answer = script.popleft() if script else Outcome(made=len(names))
        self._say(worker, Outcome(busy=tuple(names)) if answer is BUSY else answer)

    def _say(self, worker, answer):
        self._answers.append(Lost(worker, answer) if isinstance(answer, str) else Said(worker, answer))

    def hear(self, timeout_sec):
        return [self._answers.popleft()] if self._answers else []


@pytest.fixture
def sources(tmp_path):
    """Videos of 3, 2, 1 and 0 bytes (the last one is not there), not in this order."""
    for name, size in {"b": 2, "a": 3, "c": 1}.items():
        (tmp_path / name).write_bytes(bytes(size))
    return [Source(tmp_path / name, name) for name in ("b", "gone", "c", "a")]


@pytest.fixture
def outcomes(sources):
    """`outcomes(crew)`: what comes of dispatching the sources."""

    def run(crew, welcome=lambda ready: None, progress=None, sources=sources):
        return list(Dispatch(crew, sources, welcome, progress or Progress(quiet=True)).outcomes())

    return run


@pytest.fixture
def one_at_a_time(monkeypatch):
    """As long videos are."""
    monkeypatch.setattr(dispatch, "MOST_TOGETHER", 1)


def alone(*names):
    return [[name] for name in names]


@pytest.mark.usefixtures("one_at_a_time")
def test_the_longest_come_first(outcomes):
    crew = FakeCrew(most=1)
    assert sum(outcome.made for outcome in outcomes(crew)) == 4
    assert crew.given == alone("a", "b", "c", "gone")


def test_no_more_workers_are_hired_than_there_are_videos(outcomes):
    crew = FakeCrew(most=100)
    outcomes(crew)
    assert crew.hired == 4


@pytest.fixture
def many(tmp_path):
    """200 short videos, and three of which two together are too long."""
    for i in range(200):
        (tmp_path / f"{i}").write_bytes(bytes(1000))
    for name in ("x", "y", "z"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(TOGETHER_BYTES * 2 // 3)  # takes no room on the disk
    return [Source(path, path.name) for path in tmp_path.iterdir()]


def test_short_videos_come_several_at_a_time_and_fewer_towards_the_end(outcomes, many):
    crew = FakeCrew(most=2)
    outcomes(crew, sources=many)
    assert Counter(name for names in crew.given for name in names) == {source.name: 1 for source in many}
    assert [len(names) for names in crew.given[:4]] == [1, 1, MOST_TOGETHER, MOST_TOGETHER]
    assert [len(names) for names in crew.given[-4:]] == [1, 1, 1, 1]
    assert {crew.given[0][0], crew.given[1][0], crew.given[2][0]} == {"x", "y", "z"}


def test_those_that_were_lost_together_are_tried_alone(outcomes, many):
    crew = FakeCrew(most=1)
    lost = []

    def give(worker, batch):
        names = [source.name for source in batch]
        crew.given.append(names)
        if "7" in names:
            lost.append(names)
        crew._say(worker, "killed" if "7" in names else Outcome(made=len(names)))

    crew.give = give
    found = outcomes(crew, sources=many)
    assert len(lost[0]) > 1
    assert lost[1:] == [["7"], ["7"]]
    assert [list(outcome.failed) for outcome in found if outcome.failed] == [["7"]]
    assert sum(outcome.made for outcome in found) == len(many) - 1


def test_every_worker_is_looked_at_before_it_gets_a_video(outcomes):
    def refuse(ready):
        raise UsageError(f"not {ready.host}")

    crew = FakeCrew()
    with pytest.raises(UsageError, match="not host"):
        outcomes(crew, refuse)
    assert crew.given == []


@pytest.mark.usefixtures("one_at_a_time")
def test_the_video_of_a_lost_worker_goes_to_another_at_once(outcomes, tmp_path, log):
    crew = FakeCrew(most=1, script={"a": ["node died"]})
    progress = Progress(tmp_path / "log.jsonl", quiet=True)
    assert sum(outcome.made for outcome in outcomes(crew, progress=progress)) == 4
    assert crew.given == alone("a", "a", "b", "c", "gone")
    assert crew.hired == 2
    (lost,) = log(tmp_path, "lost")
    assert (lost["videos"], lost["why"]) == (["a"], "node died")


@pytest.mark.usefixtures("one_at_a_time")
def test_a_video_that_every_worker_is_lost_with_fails_after_a_few(outcomes):
    crew = FakeCrew(most=1, script={"a": ["killed by SIGKILL"] * 100})
    found = outcomes(crew)
    assert crew.given.count(["a"]) == MOST_LOSSES
    (failed,) = (outcome.failed["a"] for outcome in found if outcome.failed)
    assert failed.reason == "worker_lost"
    assert "3 workers were lost while they worked on it (the last one: killed by SIGKILL)" in failed.message
    assert sum(outcome.made for outcome in found) == 3


@pytest.mark.usefixtures("one_at_a_time")
def test_a_bad_video_is_not_tried_again(outcomes):
    bad = Outcome(failed={"b": Failed("damaged", "b: broken")})
    crew = FakeCrew(script={"b": [bad]})
    assert bad in outcomes(crew)
    assert sorted(crew.given) == alone("a", "b", "c", "gone")


@pytest.mark.usefixtures("one_at_a_time")
def test_what_another_process_works_on_comes_last_and_once(outcomes, monkeypatch):
    monkeypatch.setattr(dispatch, "_AGAIN_SEC", 0.0)
    crew = FakeCrew(most=1, script={"a": [BUSY, BUSY]})
    assert sum(outcome.made for outcome in outcomes(crew)) == 4
    assert crew.given == alone("a", "b", "c", "gone", "a", "a")


def test_workers_that_all_end_at_once_end_the_run(outcomes):
    crew = FakeCrew(begin=["exit code 1"] * 100)
    with pytest.raises(WorkStopped, match="3 workers in succession ended at once: exit code 1"):
        outcomes(crew)
    assert crew.given == []
    assert crew.hired <= MOST_LOSSES + crew.most


@pytest.mark.parametrize(
    ("trouble", "error", "says"),
    [
        (Trouble("outside", "No space left on device"), WorkStopped, "stopped: No space left"),
        (Trouble("wrong", "no such weights"), UsageError, "no such weights"),
        (Trouble("bug", "Traceback: KeyError"), RuntimeError, "a worker failed:\nTraceback"),
    ],
)
def test_what_no_video_can_do_about_ends_the_run_as_in_one_process(outcomes, trouble, error, says):
    with pytest.raises(error, match=says):
        outcomes(FakeCrew(script={"c": [trouble]}))
    with pytest.raises(error, match=says):
        outcomes(FakeCrew(begin=[trouble]))


def test_no_worker_is_waited_for_for_ever(outcomes, monkeypatch):
    class Deaf(FakeCrew):
        def hear(self, timeout_sec):
            return []

    monkeypatch.setattr(dispatch, "START_SEC", 0.05)
    with pytest.raises(WorkStopped, match=r"no worker was ready within 0\.05 s"):
        outcomes(Deaf())
