"""ARCHITECTURE and CONTRIBUTING are true to the tree: what they name is there, what is there is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")}
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|yml))`")


def places(text: str) -> list[str]:
    """Paths in inline code; <name> stands for any."""
    return [path for path in PATH.findall(text) if "<" not in path]


def exists(path: str) -> bool:
    """In the repository, in the package or in one of its rooms, or in tests/."""
    rooms = [ROOT, ROOT / "vos_zoo", ROOT / "tests", *(each for each in (ROOT / "vos_zoo").iterdir() if each.is_dir())]
    return any((room / path).exists() for room in rooms)


@pytest.mark.parametrize("name", TEXTS)
def test_every_path_is_there(name):
    assert [path for path in places(TEXTS[name]) if not exists(path)] == []
    assert len(places(TEXTS[name])) > 20


def test_a_path_that_is_gone_would_be_found():
    assert not exists("vos_zoo/io/video.py") and exists("engine/grid.py") and exists("read.py")


def test_every_room_is_named():
    rooms = [path.name for path in (ROOT / "vos_zoo").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [room for room in rooms if f"vos_zoo/{room}/`" not in TEXTS["ARCHITECTURE.md"] and room not in ("hub_configs", "demo_app")] == []


def test_at_least_ten_questions_are_answered_with_two_files_each_at_most():
    table = TEXTS["CONTRIBUTING.md"].split("## Where would you change it?")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "you want to change" not in row]
    answers = [places(row) for row in rows]
    assert len(rows) >= 10 and all(1 <= len(answer) <= 2 for answer in answers)
