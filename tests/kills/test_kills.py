"""A few kills of every scenario; many by `python -m tests.kills`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kills.killing import kill_at_random
from kills.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes as POSIX does")


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"train"}))
def test_a_run_that_is_killed_leaves_nothing_half(name, tmp_path):
    report = kill_at_random(SCENARIOS[name], tmp_path, kills=1, seed=1)
    assert report.faults == [] and report.kills == 1


def test_a_training_that_is_killed_leaves_nothing_half():
    """In a process of its own: torch refuses to train in a fork of one that has computed gradients, as this may have."""
    command = [sys.executable, "-m", "tests.kills", "--scenario", "train", "--kills", "1", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and "train: 1 kills" in done.stdout and "0 faults" in done.stdout, done.stdout + done.stderr
