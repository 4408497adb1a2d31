"""The image: what it is made of, and the command line in it on mounted folders.

What needs an engine is opt-in: `make image-test` builds the image and names it in AUGRGB_IMAGE.
"""

import filecmp
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
UID = os.getuid() or 12345  # nobody of that number need exist in the image
LOCKED_DOWN = ("--network=none", "--read-only", "--tmpfs=/tmp")
SETTINGS = ("--annotations", "/in/labels.csv", "--out", "/out", "--preset", "tiny", "--set", "train.epochs=8")

LOOK = """
import extractors, mmpose, norfair, os, pathlib, shutil, sysconfig
assert os.getuid() != 0
assert not [tool for tool in ("gcc", "make", "git", "uv", "pytest", "ruff", "mypy") if shutil.which(tool)]
assert not {"tests", "scripts", "runs"} & set(os.listdir(sysconfig.get_path("purelib")))
weights = pathlib.Path(extractors.__file__).parent / "weights"
print(*sorted(path.name for path in weights.iterdir()))
"""


def locked(name: str) -> dict[str, str]:
    """Package to its pin and hashes."""
    lock = (ROOT / "requirements" / name).read_text()
    entries = re.findall(r"^(\S+)==(\S+) \\\n((?:    --hash.*\n)+)", lock, re.MULTILINE)
    return {
        package: f"{pin} {sorted(re.findall('[0-9a-f]{64}', hashes))}" for package, pin, hashes in entries
    }


def test_the_image_installs_a_part_of_the_lock() -> None:
    image, complete = locked("image.lock"), locked("augrgb.lock")
    assert image.items() <= complete.items(), "make lock"
    assert image.keys() >= {"torch", "decord", "mmpose", "norfair", "ray"}
    assert not image.keys() & {"pytest", "ruff", "mypy", "uv", "pre-commit", "opencv-python"}


@pytest.mark.parametrize("name", ["Dockerfile", "requirements/image.lock", "requirements/uv.lock"])
def test_no_registry_is_named(name: str) -> None:
    assert not re.search(r"://|index-url|find-links|trusted-host", (ROOT / name).read_text())


@pytest.fixture(scope="module")
def image() -> str:
    """Name of an image that was built from this tree."""
    name = os.environ.get("AUGRGB_IMAGE")
    if not name:
        pytest.skip("AUGRGB_IMAGE names no image; `make image-test` builds one and runs this")
    return name


@pytest.fixture(scope="module")
def practice(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rendered videos and their labels, made in the image."""
    folder = writable(tmp_path_factory.mktemp("practice"))
    short = ("--train-videos", "4", "--test-videos", "2", "--seconds", "6")
    done = docker(*LOCKED_DOWN, f"--user={UID}", mount(folder, "/out"), image, "synth", "/out", *short)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def finished(image: str, practice: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a run that nothing interrupted: a folder that Docker makes, and no word on whose it is to be."""
    out = tmp_path_factory.mktemp("finished") / "out"
    folders = (mount(practice, "/in:ro"), mount(out, "/out"))
    done = docker(*LOCKED_DOWN, *folders, image, "run", "/in", *SETTINGS)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def docker(*options: str) -> subprocess.CompletedProcess[str]:
    """`docker run`, to its end."""
    return subprocess.run(["docker", "run", "--rm", *options], capture_output=True, text=True, timeout=900)


def mount(folder: Path, inside: str) -> str:
    return f"--volume={folder}:{inside}"


def owner(path: Path) -> tuple[int, int]:
    """Of a link itself: what the page links to has another name outside of the container."""
    status = path.lstat()
    return status.st_uid, status.st_gid


def digests(out: Path, pattern: str) -> dict[str, str]:
    """Path below OUT to the hash of the file."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.glob(pattern)
    }


def on_practice(practice: Path, out: Path) -> tuple[str, ...]:
    return (*LOCKED_DOWN, f"--user={UID}:{UID}", mount(practice, "/in:ro"), mount(out, "/out"))


def writable(folder: Path) -> Path:
    """The same folder, owned by who runs the container."""
    if os.getuid() == 0:
        os.chown(folder, UID, UID)
    return folder


@pytest.mark.slow
def test_a_mounted_folder_is_scored_and_its_results_are_the_callers(finished: Path, practice: Path) -> None:
    videos = {path.relative_to(practice) for path in practice.rglob("*.mp4")}
    scored = {
        path.relative_to(finished / "scores").with_suffix("") for path in finished.rglob("scores/**/*.npz")
    }
    assert scored == videos
    assert len(videos) == 6
    assert {owner(path) for path in finished.rglob("*")} == {owner(practice)}


@pytest.mark.slow
def test_another_container_finds_everything_done(image: str, practice: Path, finished: Path) -> None:
    again = docker(*on_practice(practice, finished), image, "run", "/in", *SETTINGS)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout


@pytest.mark.slow
def test_a_killed_container_is_taken_up_where_it_was(
    image: str, practice: Path, finished: Path, tmp_path: Path
) -> None:
    out, name = writable(tmp_path), f"augrgb-test-{os.getpid()}"
    command = ["docker", "run", "--rm", f"--name={name}", *on_practice(practice, out), image, "run", "/in"]
    with subprocess.Popen([*command, *SETTINGS], stdout=subprocess.DEVNULL) as victim:
        while victim.poll() is None and not list(out.glob("features/*/*/*.npy")):
            time.sleep(0.05)
        subprocess.run(["docker", "kill", "--signal=KILL", name], check=True, stdout=subprocess.DEVNULL)
        assert victim.wait(60) == 137
    kept = {path: path.stat().st_mtime_ns for path in out.glob("features/*/*/*.npy")}
    assert not (out / "scores").exists()

    assert docker(*on_practice(practice, out), image, "run", "/in", *SETTINGS).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    scores = [str(path.relative_to(finished)) for path in finished.rglob("scores/**/*.npz")]
    assert filecmp.cmpfiles(finished, out, scores, shallow=False) == (scores, [], [])
    assert not list(out.rglob(".augrgb-tmp-*"))


@pytest.mark.slow
def test_each_stage_is_run_apart_on_what_is_cached(
    image: str, practice: Path, finished: Path, tmp_path: Path
) -> None:
    def stage(*words: str) -> None:
        done = docker(*on_practice(practice, out), image, *words)
        assert done.returncode == 0, done.stdout + done.stderr

    out = writable(tmp_path)
    stage("extract", "/in", "--out", "/out", "--preset", "tiny", "--set", "train.epochs=8")
    features = {path: path.stat().st_mtime_ns for path in out.glob("features/*/*/*")}
    for settings in ((), ("--set", "train.epochs=4")):
        stage("train", "--out", "/out", "--annotations", "/in/labels.csv", *settings)
        stage("score", "--out", "/out", *settings)
        stage("evaluate", "--out", "/out")
        stage("report", "/out")
        same = digests(out, "scores/**/*.npz") == digests(finished, "scores/**/*.npz")
        assert same == (not settings)
        assert {path: path.stat().st_mtime_ns for path in out.glob("features/*/*/*")} == features
    assert (out / "report" / "index.html").is_file()
    media = list((out / "report" / "media").iterdir())
    assert len([path for path in media if path.suffix == ".mp4"]) == 6
    assert not any(path.is_symlink() for path in media), "names of the container mean nothing outside of it"


@pytest.mark.slow
@pytest.mark.parametrize("user", [(), (f"--user={UID}",)], ids=["nobody named", "a user"])
@pytest.mark.parametrize(
    ("mounts", "message"),
    [
        ({"out": "/out"}, "/in: does not exist"),
        ({"empty": "/in:ro", "out": "/out"}, "no videos in /in"),
        ({"videos": "/in:ro"}, "/out"),
        ({"videos": "/in:ro", "out": "/out:ro"}, "/out"),
    ],
    ids=["no /in", "empty /in", "no /out", "read-only /out"],
)
def test_a_wrong_mount_is_wrong_usage(
    image: str,
    practice: Path,
    finished: Path,
    tmp_path: Path,
    mounts: dict[str, str],
    message: str,
    user: tuple[str, ...],
) -> None:
    folders = {"videos": practice, "out": writable(tmp_path), "empty": tmp_path}
    options = [mount(folders[folder], inside) for folder, inside in mounts.items()]
    model = (mount(finished / "checkpoints", "/model:ro"), image)
    score = ("run", "/in", "--out", "/out", "--checkpoint", "/model/vanilla.ckpt")
    done = docker("--network=none", *user, *options, *model, *score)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_image_computes_what_the_project_does(
    image: str, practice: Path, finished: Path, tmp_path: Path
) -> None:
    """Frames, features and scores of two torch builds are equal but for rounding."""
    model = str(finished / "checkpoints" / "vanilla.ckpt")
    augrgb = (
        sys.executable,
        "-P",
        "-m",
        "pipeline",
        "run",
        practice,
        "--out",
        tmp_path,
        "--checkpoint",
        model,
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(augrgb, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    names = sorted(path.relative_to(finished) for path in finished.glob("scores/**/*.npz"))
    assert len(names) == 6
    for name in names:
        with np.load(finished / name) as inside, np.load(tmp_path / name) as outside:
            np.testing.assert_allclose(outside["scores"], inside["scores"], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_ray_works_in_the_image(image: str, practice: Path, finished: Path, tmp_path: Path) -> None:
    out = writable(tmp_path)
    engine = ("--preset", "tiny", "--engine", "ray", "--workers", "1")
    done = docker(*on_practice(practice, out), image, "extract", "/in", "--out", "/out", *engine)
    assert done.returncode == 0, done.stdout + done.stderr
    names = sorted(path.relative_to(finished) for path in finished.glob("features/**/*.npy"))
    assert names == sorted(path.relative_to(out) for path in out.glob("features/**/*.npy"))
    for name in names:
        inside = np.load(finished / name)
        np.testing.assert_allclose(np.load(out / name), inside, rtol=0, atol=1e-5 * abs(inside).max())


@pytest.mark.slow
def test_real_videos_are_scored_by_a_checkpoint(
    image: str, finished: Path, shared: Path, tmp_path: Path
) -> None:
    """Videos of somebody else: the results are those of the owner of OUT."""
    videos = [f"/in/{name}" for name in ("demo.mp4", "ta_chi.mp4", "test.avi")]
    folders = (mount(shared / "data" / "videos" / "real", "/in:ro"), mount(writable(tmp_path), "/out"))
    model = (mount(finished / "checkpoints", "/model:ro"), image, "run", *videos)
    score = ("--out", "/out", "--checkpoint", "/model/vanilla.ckpt")
    done = docker("--network=none", *folders, *model, *score)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in tmp_path.glob("scores/*.npz")} == {f"{Path(v).name}.npz" for v in videos}
    assert {owner(path) for path in tmp_path.rglob("*")} == {owner(tmp_path)}


@pytest.mark.slow
def test_the_image_holds_what_runs_and_nothing_else(image: str) -> None:
    done = docker("--network=none", f"--user={UID}", "--entrypoint=python", image, "-W", "ignore", "-c", LOOK)
    assert done.returncode == 0, done.stderr
    shipped = (ROOT / "extractors" / "weights").glob("[!.]*")
    assert done.stdout.split() == sorted(path.name for path in shipped)
