"""The README and the pages: links lead somewhere, snippets run, commands are taken, every public name has an entry with an example."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from programs import program

ROOT = Path(__file__).resolve().parents[2]
CHECK = program("check_docs")
PAGES = CHECK.pages()


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_and_commands_of_a_page(path):
    assert CHECK.broken_links(path) == []
    assert CHECK.wrong_commands(path.read_text(encoding="utf-8"), named(path)) == []


@pytest.mark.parametrize("path", [path for path in PAGES if CHECK.snippets(path.read_text(encoding="utf-8"))], ids=named)
def test_snippets_of_a_page_run(path):
    with CHECK.in_samples():
        assert CHECK.run_page(path.read_text(encoding="utf-8"), named(path)) == []


def test_every_public_name_has_an_entry():
    assert set(CHECK.public_names()) - CHECK.documented_names() == set()


@pytest.mark.parametrize("name", CHECK.public_names())
def test_every_public_name_has_an_example_that_runs(name):
    with CHECK.in_samples():
        assert CHECK.run_example(name) == []


def test_an_example_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(CHECK, "example_of", lambda name: ">>> 1 + 1\n3\n")
    assert "Got:\n    2" in CHECK.run_example("load")[0]
    monkeypatch.setattr(CHECK, "example_of", lambda name: None)
    assert CHECK.run_example("load") == ["vos_zoo.load has no Example section in its docstring"]


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if not re.search(rf"[ :]{re.escape(page)}$", navigation, flags=re.MULTILINE)] == []


def test_nobody_is_told_to_install_what_is_not_published():
    said = {named(path): re.findall(r"pip install '?\"?vos_zoo.*", path.read_text(encoding="utf-8")) for path in PAGES}
    assert {page: lines for page, lines in said.items() if lines} == {}


def test_a_broken_page_is_told(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md) [b](#no) [c](#yes) [d](https://example.org) `[e](code.md)`\n\n## Yes\n\n![f](gone.png)\n")
    assert CHECK.broken_links(page, tmp_path) == [
        "page.md: gone.md: there is no gone.md",
        "page.md: #no: no heading there is #no",
        "page.md: gone.png: there is no gone.png",
    ]


def test_a_snippet_that_fails_is_told_with_its_line(tmp_path):
    text = "Text\n\n```python\nx = 1\n1 / 0\n```\n\n"
    text += "<!-- compiled only: needs a camera -->\n```python\nopen_camera()\n```\n\n```python\nassert x == 1\n```\n"
    assert CHECK.run_page(text, "page.md") == ["page.md:5: ZeroDivisionError: division by zero"]
    assert [snippet.runs for snippet in CHECK.snippets(text)] == [True, False, True]
    assert "SyntaxError" in CHECK.run_page("<!-- compiled only: x -->\n```python\nfor\n```\n", "page.md")[0]


def test_a_command_that_is_not_taken_is_told():
    assert CHECK.wrong_commands("```bash\nvos-zoo propagate a.mp4 --mask b.png | head\nvos-zoo list\n```\n", "page.md") == []
    (wrong,) = CHECK.wrong_commands("    vos-zoo propagate a.mp4 --msk b.png\n", "page.md")
    assert "--msk" in wrong
    assert CHECK.wrong_commands("python tools/gone.py x\n", "page.md") == ["page.md: there is no tools/gone.py"]


def test_the_samples_are_what_pages_name():
    before = os.getcwd()
    with CHECK.in_samples() as folder:
        assert {"video.mp4", "first_mask.png", "two_masks.png", "frames", "clips", "data", "corrections", "true_masks"} <= set(
            os.listdir(folder)
        )
    assert os.getcwd() == before
