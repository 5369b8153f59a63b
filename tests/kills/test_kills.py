"""A few kills of every scenario; many by `python -m tests.kills`."""

from __future__ import annotations

import os

import pytest

from kills.killing import kill_at_random
from kills.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes as POSIX does")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_run_that_is_killed_leaves_nothing_half(name, tmp_path):
    report = kill_at_random(SCENARIOS[name], tmp_path, kills=1, seed=1)
    assert report.faults == [] and report.kills == 1
