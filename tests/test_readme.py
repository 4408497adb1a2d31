"""What README and docs say is so: every command is run, or checked in the way that is possible.

The commands of the README that need nothing but this machine are run for real, in order, in a folder
with a few rendered videos (slow). `make` and `docker` are held against the Makefile and the command
line; so is what needs public weights or hours. A command of which nobody knows how to check it fails.
"""

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.labels import read_annotations
from pipeline.presets import PRESETS
from pipeline.video_types import REASONS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CLI: Any = typer.main.get_command(app)
USAGE = typer.BadParameter.__base__  # what the command line raises for words it does not know
LONG = {"benchmark"}  # commands that take hours: what they would do is run


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, without the indent of the list that it may stand in."""

    page: Path
    language: str
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    found = re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [
        Block(page, language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, text in (match.groups() for match in found)
        if language in languages
    ]


def commands(page: Path) -> list[list[str]]:
    """The words of every command, in order; comments and broken lines aside."""
    lines = [line for block in blocks(page, "sh") for line in block.text.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def every_command() -> Iterator[object]:
    for page in PAGES:
        for words in commands(page):
            yield pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)[:70]}")


def parse(words: list[str]) -> Any:
    """What `augrgb` makes of its arguments, as a context; USAGE where there is no such command or option."""
    context, command = CLI.make_context("augrgb", [], resilient_parsing=True), CLI
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, list(words))
        assert command is not None, f"no such command: {words}"
        group = hasattr(command, "commands")
        context = command.make_context(name, words, parent=context, resilient_parsing=group)
    return context


def check_make(words: list[str]) -> None:
    targets = [word for word in words if "=" not in word]
    assert targets
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_docker(words: list[str]) -> None:
    assert words[0] == "run"
    image = words.index("augrgb")  # what make image makes; what follows is the command line
    mounts = {word.split(":")[1] for before, word in itertools.pairwise(words) if before == "-v"}
    context = parse(words[image + 1 :])
    assert mounts >= {"/in", "/out"}
    assert context.params["out"] == Path("/out")


def check(words: list[str]) -> None:
    """As far as it goes without doing the work; fails for a command of a kind that is not known here."""
    program, *rest = itertools.dropwhile(lambda word: re.fullmatch(r"[A-Z_]+=\w+", word), words)
    if program == "augrgb":
        context = parse(rest)
        assert context.params.get("preset") in (None, *PRESETS)
    elif program == "make":
        check_make(rest)
    elif program == "docker":
        check_docker(rest)
    elif words == [".", ".venv/bin/activate"]:
        assert "$(PYTHON) -m venv .venv" in (ROOT / "Makefile").read_text()
    else:
        assert words == ["mkdir", "-p", "out"], f"how is this checked? {words}"


@pytest.mark.parametrize("words", every_command())
def test_every_command_is_one(words):
    check(words)


@pytest.mark.parametrize(
    "words",
    [
        ["curl", "-O", "x"],
        ["augrgb", "nonsense"],
        ["augrgb", "run", "videos", "--outt", "x"],
        ["augrgb", "run", "videos", "--out", "x", "--preset", "huge"],
        ["augrgb", "weights", "nonsense"],
        ["make", "nonsense"],
        ["docker", "run", "augrgb", "run", "/in", "--out", "/out"],
    ],
    ids=" ".join,
)
def test_a_command_that_is_none_is_noticed(words):
    with pytest.raises((AssertionError, USAGE)):
        check(words)


def test_the_readme_has_commands():
    assert len(commands(README)) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_are_there(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    missing = [
        target
        for target in targets
        if "://" not in target and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_and_csv_can_be_read(page, tmp_path):
    for block in blocks(page, "python"):
        compile(block.text, str(page), "exec")
    for block in blocks(page, "csv"):
        (tmp_path / "labels.csv").write_text(block.text)
        assert read_annotations(tmp_path / "labels.csv").videos


def leaf_commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaf_commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_the_readme_names_every_command_and_preset():
    text = README.read_text()
    table = text.partition("## Commands")[2].partition("## ")[0]
    named = set(re.findall(r"`(?:augrgb )?([a-z-]+)[^`]*`", table))
    top = {name.partition(" ")[0] for name, _ in leaf_commands(CLI)}
    assert top <= named, top - named
    presets = (ROOT / "docs" / "recipes.md").read_text()
    assert not [name for name in PRESETS if f"`{name}`" not in presets]


def test_the_docs_name_every_reason_as_the_code_does():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs/outputs.md").read_text(), re.MULTILINE))
    assert rows == dict(REASONS)


@pytest.mark.parametrize("name", [name for name, _ in leaf_commands(CLI)])
def test_help_says_what_every_option_is_for(name):
    """All of it: text in square brackets may be taken for markup, and is gone."""
    command = dict(leaf_commands(CLI))[name]
    done = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", done.output).split())
    for text in [command.help, *(p.help for p in command.params)]:
        assert text, name
        assert set(text.split()) <= set(shown.split()), text


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A user's folder: the README's labels and some more, videos that have them, and a new one."""
    from pipeline.synthetic import render_practice

    render_practice(tmp_path / "made", train_videos=8, test_videos=1, seconds=4.0, workers=2)
    made = sorted((tmp_path / "made" / "videos").iterdir())
    kitchen, new = tmp_path / "videos" / "kitchen", tmp_path / "new_videos"
    kitchen.mkdir(parents=True)
    new.mkdir()
    for letter, video in zip("abcdefgh", made, strict=False):
        video.rename(kitchen / f"{letter}.mp4")
    made[-1].rename(new / "d.mp4")
    (table,) = blocks(README, "csv")
    more = [
        f"kitchen/{letter}.mp4,0.5,{end},{label},training"
        for letter in "defgh"
        for end, label in ((2, "pour"), (3, "cut"))
    ]
    (tmp_path / "labels.csv").write_text("\n".join([table.text.strip(), *more, ""]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def can_be_run(words: list[str]) -> bool:
    """Of `augrgb`: whether a machine without a network can, in minutes."""
    preset = parse(words).params.get("preset")
    return preset in (None, "tiny")


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_they_say(sandbox):
    ran = []
    for program, *words in commands(README):
        if program != "augrgb" or not can_be_run(words):
            continue  # checked above
        extra = ["--dry-run"] if words[0] in LONG else []
        done = CliRunner().invoke(app, [*words, *extra])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise AssertionError(f"augrgb {shlex.join(words)}\n{done.output}") from done.exception
        allowed = (0, 1) if words[0] == "doctor" else (0,)  # which looks at the machine
        assert done.exit_code in allowed, f"augrgb {shlex.join(words)}\n{done.output}"
        ran.append(words[0])
    assert len(ran) > 10
    for path in ("out/scores/kitchen/c.mp4.npz", "new_out/scores/d.mp4.csv", "out/annotated/kitchen/c.mp4"):
        assert (sandbox / path).is_file(), path
    assert (sandbox / "out" / "checkpoints" / "student.ckpt").is_file()
    assert (sandbox / "out" / "report" / "index.html").is_file()
    assert any((sandbox / "feats").iterdir())
    assert any((sandbox / "subtitles").rglob("*.srt")) or "0 events" in done.output


@pytest.mark.slow
def test_the_python_of_the_readme_does_what_it_says(sandbox):
    (block,) = blocks(README, "python")
    code = (
        block.text
        + """
from pipeline.video import probe

track = scores["kitchen/c.mp4"]
assert track.scores_FK.shape == (probe("videos/kitchen/c.mp4").clock.num_frames, 2)
assert track.classes == ("cut", "pour")
"""
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-P", "-c", code], cwd=sandbox, env=env, check=True)


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    words = [
        sys.executable,
        "-P",
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        str(ROOT / "docs"),
        str(tmp_path),
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "build_extractor" in (tmp_path / "api" / "extractors.html").read_text()
