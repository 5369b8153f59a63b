"""The allocator's setting is made once, where it can be, and the user's own settings win."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = "from vos_zoo.system.allocator import keep_freed_memory; print(keep_freed_memory())"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_setting_is_made_unless_the_user_made_one(monkeypatch):
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    plain = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert plain.stdout.strip() in ("True", "False")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    set_by_user = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert set_by_user.stdout.strip() == "False"


def test_elsewhere_nothing_happens(monkeypatch):
    from vos_zoo.system import allocator

    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False
