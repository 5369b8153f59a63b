"""SIGTERM as Ctrl-C: what was finished is kept, the exit status is 143."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from vos_zoo.system.termination import Terminated, TerminationAsInterrupt

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, time
from vos_zoo.system.termination import TerminationAsInterrupt
with TerminationAsInterrupt() as termination:
    try:
        print("begun", flush=True)
        time.sleep(60)
        status = 0
    except KeyboardInterrupt:
        print("kept", flush=True)
        {after}
        status = 130
sys.exit(termination.status(status))
"""


def ended(sent: list[signal.Signals], after: str = "pass") -> tuple[int, str]:
    """(exit status, what it printed) of a program that gets these signals, one after each line that it prints."""
    program = PROGRAM.replace("{after}", after)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    lines = []
    for number in sent:
        lines.append(process.stdout.readline())
        process.send_signal(number)
    rest = process.communicate(timeout=90)[0]
    return process.returncode, "".join(lines) + rest


def test_what_was_finished_is_kept() -> None:
    assert ended([signal.SIGTERM]) == (143, "begun\nkept\n")


def test_a_second_signal_ends_it_at_once() -> None:
    assert ended([signal.SIGTERM, signal.SIGTERM], after="time.sleep(60)") == (-signal.SIGTERM, "begun\nkept\n")


def test_ctrl_c_is_still_told_apart() -> None:
    assert ended([signal.SIGINT])[0] == 130


def test_a_signal_that_is_ignored_stays_so() -> None:
    program = PROGRAM.replace("{after}", "pass").replace("time.sleep(60)", "time.sleep(2); raise KeyboardInterrupt")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROGRAM": program}
    call = ["bash", "-c", f'trap \'\' TERM; exec "{sys.executable}" -c "$PROGRAM"']
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=90)[0] == "kept\n" and process.returncode == 130


def test_handlers_of_a_host_program_come_back(monkeypatch: Any) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with pytest.raises(Terminated), TerminationAsInterrupt() as termination:
            os.kill(os.getpid(), signal.SIGTERM)
        assert termination.came and termination.status(130) == 143 and termination.status(2) == 2
        with TerminationAsInterrupt() as termination:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM] and not termination.came
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_change_nothing() -> None:
    found: list[Any] = []

    def enter() -> None:
        with TerminationAsInterrupt():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
