"""Host programs without standard streams, with closed ones, with loggers in their place, and with encodings that lack a name's letters."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vos_zoo.system.progress import reporter
from vos_zoo.system.streams import in_notebook, is_terminal, tell

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Logger:
    """What an application puts in place of standard error."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


class Broken(Logger):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self) -> bool:
        return True


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"None": lambda: None, "a logger": Logger, "closed": closed, "broken": Broken, "in memory": io.StringIO}


@pytest.mark.parametrize("progress", [None, True, False])
@pytest.mark.parametrize("stream", STREAMS)
def test_no_bar_ends_the_work(monkeypatch: Any, stream: str, progress: bool | None) -> None:
    monkeypatch.setattr(sys, "stderr", STREAMS[stream]())
    done = 0
    with reporter(progress, 3, "frames") as report:
        for done in range(1, 4):
            report(done)
    tell("a word")
    assert done == 3


def test_a_logger_gets_words_and_the_bar_that_was_asked_for(monkeypatch: Any) -> None:
    logger = Logger()
    monkeypatch.setattr(sys, "stderr", logger)
    assert not is_terminal(logger) and not is_terminal(None) and not is_terminal(closed()) and is_terminal(Broken())
    tell("a word")
    with reporter(True, 2, "frames") as report:
        report(2)
    assert logger.text.startswith("a word\n") and "2/2" in logger.text


def test_a_callers_own_trouble_is_not_swallowed() -> None:
    def stop(done: int, total: int | None) -> None:
        raise BrokenPipeError("the caller's")

    with pytest.raises(BrokenPipeError, match="the caller's"), reporter(stop, 2, "frames") as report:
        report(1)


def test_this_is_no_notebook(monkeypatch: Any) -> None:
    assert not in_notebook()
    kernel = type(sys)("IPython")
    kernel.get_ipython = lambda: type("Shell", (), {"config": {"IPKernelApp": {}}})()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    assert in_notebook()
    kernel.get_ipython = lambda: None  # type: ignore[attr-defined]
    assert not in_notebook()


PROGRAM = """
import sys
from vos_zoo.system.streams import usable_streams
with usable_streams():
    print("视频 clé")
    print("視頻", file=sys.stderr)
    with open(sys.argv[1], "wb") as file:
        assert file.fileno() > 2, file.fileno()
        file.write(b"done")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/null"])
def test_programs_run_without_their_streams(tmp_path: Path, redirect: str) -> None:
    call = f'"{sys.executable}" -c "$PROGRAM" "{tmp_path / "made"}" {redirect}'
    assert subprocess.run(["bash", "-c", call], env={**ENVIRONMENT, "PROGRAM": PROGRAM}, stderr=subprocess.DEVNULL).returncode == 0
    assert (tmp_path / "made").read_bytes() == b"done"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437"])
def test_names_that_an_encoding_lacks_are_shown_as_escapes(tmp_path: Path, encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "made")], env={**ENVIRONMENT, "PYTHONIOENCODING": encoding}, capture_output=True
    )
    assert done.returncode == 0 and b"\\u89c6\\u9891" in done.stdout and (tmp_path / "made").exists()


@pytest.mark.parametrize("arguments", [["list"], ["list", "nothing"], ["info", "nothing"]])
def test_the_command_line_without_standard_error(arguments: list[str]) -> None:
    call = f'"{sys.executable}" -m vos_zoo.cli {" ".join(arguments)} 2>&-'
    done = subprocess.run(["bash", "-c", call], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == (2 if arguments[0] == "info" else 0) and "vos-zoo:" not in done.stdout
