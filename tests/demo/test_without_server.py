"""What `vos-zoo demo --browser` refuses. The page itself is tested with graphs: tests/runtimes/test_graphs.py."""

from __future__ import annotations

import shutil

import browser_page
import pytest

from vos_zoo.cli import main
from vos_zoo.errors import SaveError, VosZooError


def test_one_model_a_page(tmp_path, capsys):
    browser_page.builder()
    assert main(["demo", "--browser", str(tmp_path / "site"), "--models", "crvos,scm"]) == 2
    assert "has one model: give one name to --models" in capsys.readouterr().err and not (tmp_path / "site").exists()


def test_what_can_not_be_built_is_told_first(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    build = browser_page.builder().build
    with pytest.raises(SaveError, match="holds something else than this page: choose another folder"):
        build(tmp_path, "crvos")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(VosZooError, match="needs npm, once: install Node.js"):
        build(tmp_path / "site", "crvos")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
