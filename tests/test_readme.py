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
    info = catalogue.info(name)
    rows = [line for line in README.splitlines() if line.startswith(f"| `{name}` |")]
    if not info.has_weights:
        assert not rows and f"`{name}`" in README.split("Without weights yet: ")[1].splitlines()[0]
        return
    (row,) = rows
    assert f"| {info.parameters / 1e6:.1f} M | {info.bytes / 1e6:.1f} MB |" in row
    for metric in info.metrics:
        if metric["dataset"].startswith("DAVIS-2016") and "quality" not in metric:
            assert f"| **{metric['J&F']}** |" in row


def test_the_terms_of_the_weights_stand_in_one_line():
    (line,) = [line for line in README.splitlines() if line.startswith("**Licence of the weights")]
    free = {
        info.name for info in map(catalogue.info, catalogue.names()) if info.has_weights and "non-commercial" not in (info.licence or "")
    }
    assert "non-commercial" in line and not free, f"the line is not true of {free}"


def test_files_that_it_links_to_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
