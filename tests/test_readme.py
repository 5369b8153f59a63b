"""What the README claims: its commands, its table, its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vos_zoo.checkpoints import catalogue

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_two_commands_are_marked_for_ci():
    first, tests = (re.search(rf"<!-- {mark} -->\n`(.+)`\n", README).group(1) for mark in ("first", "tests"))
    assert first.endswith("vos-zoo propagate --example") and "pytest" in tests


@pytest.mark.parametrize("name", catalogue.names())
def test_the_table_says_what_the_config_says(name):
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    info = catalogue.info(name)
    assert f"{info.parameters / 1e6:.1f} M" in row
    for metric in info.metrics:
        if metric["dataset"].startswith("DAVIS-2016"):
            assert str(metric["J&F"]) in row
    assert ("no weights yet" in row) == (not info.has_weights)


def test_files_that_it_links_to_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
