"""Files and folders appear whole or not at all, also where a process is killed at the worst instant; what it left is cleared away."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vos_zoo.errors import SaveError
from vos_zoo.system import exchange, leftovers
from vos_zoo.system.atomic import AtomicPath, atomic_write
from vos_zoo.system.atomic_folder import atomic_folder
from vos_zoo.system.lock import LOCK_FILE, writing_alone
from vos_zoo.system.paths import user_path

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from vos_zoo.system import atomic, exchange
from vos_zoo.system.atomic_folder import atomic_folder
def kill(*given, **more):
    os.kill(os.getpid(), signal.SIGKILL)
{0}
with atomic_folder(sys.argv[1], overwrite=True) as folder:
    (folder / "00000.png").write_bytes(b"new")
{1}
"""


def killed(target: Path, before: str, after: str = "") -> None:
    code = KILLED.format(before, after)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, str(target)], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr


def masks(folder: Path, content: bytes = b"old") -> Path:
    folder.mkdir()
    (folder / "00000.png").write_bytes(content)
    return folder


def content(folder: Path) -> bytes:
    return (folder / "00000.png").read_bytes()


WITHOUT_EXCHANGE = "exchange._renameat2 = lambda: None\n"
INSTANTS = {
    "before anything is put in place": "exchange.replace_folder = atomic.replace_folder = kill",
    "after the exchange": "exchange.shutil.rmtree = kill",
    "between two renames": WITHOUT_EXCHANGE + "os.replace = kill",
    "before two renames": WITHOUT_EXCHANGE + "os.rename = kill",
    "after two renames": WITHOUT_EXCHANGE + "exchange.shutil.rmtree = kill",
}


@pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")
@pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS)
def test_a_kill_while_a_folder_is_replaced_loses_nothing(tmp_path, instant):
    target = masks(tmp_path / "masks")
    killed(target, instant)
    leftovers._swept.clear()
    AtomicPath(tmp_path / "other.json")  # the next thing that is written beside it
    assert content(target) in (b"old", b"new")
    assert sorted(os.listdir(tmp_path)) == ["masks"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux exchanges names")
def test_where_names_are_exchanged_there_is_no_instant_without_a_result(tmp_path):
    target = masks(tmp_path / "masks")
    killed(target, INSTANTS["after the exchange"])
    assert content(target) == b"new"
    assert len(os.listdir(tmp_path)) == 2


def test_what_a_living_process_is_writing_stays(tmp_path):
    with atomic_write(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        leftovers._swept.clear()
        AtomicPath(tmp_path / "b.json")
        assert temporary.read_text() == "half"
    (tmp_path / ".vos_zoo-mine").touch()  # no name that we give
    leftovers._swept.clear()
    AtomicPath(tmp_path / "b.json")
    assert sorted(os.listdir(tmp_path)) == [".vos_zoo-mine", "a.json"]


def test_what_another_machine_left_goes_after_a_day(tmp_path):
    name = tmp_path / ".vos_zoo-00000000-1-1-00000000.mp4"
    name.touch()
    AtomicPath(tmp_path / "a")
    assert name.exists()
    os.utime(name, (0, 0))
    leftovers._swept.clear()
    AtomicPath(tmp_path / "a")
    assert not name.exists()


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_that_can_not_be_replaced_stays(tmp_path, monkeypatch, swaps):
    def full(*names):
        raise OSError(errno.EIO, "Input/output error")

    target = masks(tmp_path / "masks")
    if swaps:
        monkeypatch.setattr(exchange, "exchange", full)
    else:
        monkeypatch.setattr(exchange, "_renameat2", lambda: None)
        monkeypatch.setattr(exchange.os, "replace", full)
    with pytest.raises(SaveError, match="the disk reported a failure"), atomic_folder(target, overwrite=True) as folder:
        (folder / "00000.png").write_bytes(b"new")
    assert content(target) == b"old" and os.listdir(tmp_path) == ["masks"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nobody_of_that_name/masks", "no such user's home folder"),
        ("a\0b", "a null character"),
        ("x" * 300, "is too long: a name has at most 255 bytes"),
        ("/".join(["x" * 200] * 30), "a path 4095"),
        ("\ud800", "characters that no file name can have"),
        (7, "a string or a pathlib.Path, not 7"),
    ],
)
def test_paths_that_can_not_be(path, message):
    with pytest.raises(SaveError, match=message):
        user_path(path)
    with pytest.raises(SaveError, match=message), atomic_write(path):
        pass


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_folder_is_written_by_one_run_at_a_time(tmp_path):
    with writing_alone(tmp_path / "out"):
        with pytest.raises(SaveError, match=r"another run is writing to .*out: wait for it"), writing_alone(tmp_path / "out"):
            pass
        (tmp_path / "out" / "result").touch()
    with writing_alone(tmp_path / "out"):
        assert LOCK_FILE in os.listdir(tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["result"]


def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), writing_alone(tmp_path / "out"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="nothing can be written to .*file"), writing_alone(tmp_path / "file"):
        pass
