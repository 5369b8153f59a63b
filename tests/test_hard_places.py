"""A table of hard places: limits of memory, files and disk, folders that are closed or deleted, no home, a plain locale.

Signals are in test_cli.py and system/test_termination.py, kill -9 in kills/, closed streams in system/test_streams.py. Each run here is a
fork of this process, since the library takes seconds to import.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import many_clips
import pytest
import torch
from forked import set_apart
from publishing import tiny_checkpoint

import vos_zoo
from vos_zoo.cli import main
from vos_zoo.engine.session import Session
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.lock import LOCK_FILE
from vos_zoo.system.machine import shortage

resource = pytest.importorskip("resource", reason="limits of POSIX")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forks")
NOBODY = 65534
FRAMES = 4


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A clip, its mask and a model, where everybody may read."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        many_clips.write_video(root / "a.mp4", FRAMES)
        many_clips.write_mask(root / "a.png")
        tiny_checkpoint(root / "tiny")
        yield root


def ended(place: Path, out: Path, before: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """(exit status, what was said) of `vos-zoo propagate` in a fork, in which `before` is called first."""
    mine, theirs = os.pipe()
    if (process := os.fork()) == 0:
        status = 99
        try:
            set_apart()
            torch.set_num_threads(1)
            os.dup2(theirs, 1), os.dup2(theirs, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            before()
            options = ["--model", str(place / "tiny"), "--device", "cpu", "--out", str(out), "--no-progress"]
            options += ["--save", "masks,overlay"]
            status = main(["propagate", str(place / "a.mp4"), "--mask", str(place / "a.png"), *options])
            sys.stdout.flush(), sys.stderr.flush()
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(theirs)
    with os.fdopen(mine) as told:
        said = told.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


def limited(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))


def no_more_memory() -> None:
    """torch asks for more than there is as the first frame is followed. A limit on a fork is met or not by what its parent has kept."""
    Session.run = lambda *_, **__: torch.empty(1 << 50)  # type: ignore[method-assign]


def no_more_files() -> None:
    free = os.dup(0)
    os.close(free)
    limited(resource.RLIMIT_NOFILE, free)


@pytest.mark.parametrize(
    ("before", "said", "kept"),
    [
        (no_more_memory, "memory ran out", 1),
        (no_more_files, "oo many open files|too many files are open", 0),
        (lambda: limited(resource.RLIMIT_FSIZE, 10), "the file grew beyond what the system allows", 0),
        (lambda: limited(resource.RLIMIT_FSIZE, 2000), "not everything could be written, but this was: .*masks", FRAMES),
    ],
    ids=["memory", "open files", "disk", "disk for the masks only"],
)
def test_what_the_machine_lacks_is_a_sentence(place, tmp_path, before, said, kept):
    status, told = ended(place, tmp_path / "out", before)
    assert status == 2 and "Traceback" not in told, told
    assert re.search(said, told), told
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert left == [] and all(len(MaskSequence.load(path)) == kept for path in tmp_path.glob("out/masks"))


def test_what_is_no_shortage_is_none():
    assert shortage(RuntimeError("size mismatch")) == "" and shortage(OSError(2, "No such file")) == ""
    assert shortage(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")).startswith("memory ran out")


def test_a_folder_where_nobody_may_write(place):
    closed = place / "closed"
    closed.mkdir(exist_ok=True)
    closed.chmod(0o555)

    def nobody() -> None:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)

    status, told = ended(place, closed / "out", nobody)
    assert status == 2 and "is read-only: choose another --out" in told and list(closed.iterdir()) == []


def test_no_home_and_no_folder_to_stand_in(place, tmp_path):
    def homeless() -> None:
        for name in ("HOME", "XDG_CACHE_HOME", "USER", "LOGNAME"):
            os.environ.pop(name, None)
        gone = tempfile.mkdtemp()
        os.chdir(gone)
        os.rmdir(gone)

    status, told = ended(place, tmp_path / "out", homeless)
    assert status == 0 and len(MaskSequence.load(tmp_path / "out/masks")) == FRAMES, told


def test_an_out_folder_that_is_deleted_amid(place, tmp_path):
    out = tmp_path / "out"

    def deleted() -> None:
        def wait() -> None:
            while not (out / LOCK_FILE).exists():
                time.sleep(0.001)
            time.sleep(0.02)
            shutil.rmtree(out, ignore_errors=True)

        threading.Thread(target=wait, daemon=True).start()

    status, told = ended(place, out, deleted)
    assert "Traceback" not in told
    assert (status == 0 and len(MaskSequence.load(out / "masks")) == FRAMES) or (
        status == 2 and re.search("can't save|nothing can be written", told)
    ), told


def test_a_plain_locale(place, tmp_path):
    """Names and messages that are not ASCII, where the system says that all text is. An interpreter of its own: the locale is read once."""
    clip = place / "Füße.mp4"
    shutil.copy(place / "a.mp4", clip)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(vos_zoo.__file__).parents[1]), "LC_ALL": "C", "LANG": "C",
                   "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HF_HUB_OFFLINE": "1"}  # fmt: skip
    code = (
        "import sys, vos_zoo; print(vos_zoo.open_video(sys.argv[1])); from vos_zoo.cli import main; sys.exit(main(['info', sys.argv[2]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, clip, "größer"], env=environment, capture_output=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2 and b"Traceback" not in done.stderr, done.stderr
    assert b"no model is called" in done.stderr and b"64x48" in done.stdout
