"""How long the README and the pages are, and their sentences: what tools/measure_prose.py measures."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import program

ROOT = Path(__file__).resolve().parents[2]
PROSE = program("measure_prose")


@pytest.mark.parametrize("path", PROSE.pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_keeps_its_bounds(path):
    assert PROSE.measure(path.read_text(encoding="utf-8")).offences(PROSE.bounds_of(path)) == []


def test_the_readme_has_the_tighter_bounds():
    assert PROSE.bounds_of(ROOT / "README.md") == PROSE.Bounds(18, 45, 150)
    assert PROSE.bounds_of(ROOT / "docs" / "index.md") == PROSE.Bounds(20, 50)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("One two. Three four five? Six", [2, 3, 1]),
        ("One two\nthree.\n\nFour\n", [3, 1]),
        ("- one two\n- three\n  four five\n", [2, 3]),
        ("1. one two\n2. three\n", [2, 1]),
        ("# A heading\n\nOne two.\n\n| a | table |\n|---|---|\n", [2]),
        ("```python\nno = 'words here'\n```\nOne `a b c` [two three](x.md) four.\n", [5]),
        ("Code:\n\n    vos-zoo list\n\nOne two.\n", [1, 2]),
        ('!!! tip "A"\n\n    One two three.\n\n    ```\n    no words\n    ```\n', [3]),
        ("---\ntitle: no words at all\n---\nOne.\n", [1]),
        ("Version 3.5 is one. See e.g. Figure 2.\n", [4, 4]),
        ("<!-- not this -->\nOne - two.\n", [2]),
    ],
)
def test_words_of_each_sentence(text, lengths):
    assert PROSE.measure(text).lengths == lengths


def test_what_is_too_long_is_told(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("word " * 60 + "end.\n")
    assert PROSE.main([str(page)]) == 1
    said = capsys.readouterr().out
    assert "61.0 words a sentence, at most 20" in said and "a sentence of 61 words, at most 50" in said
    page.write_text("Short and good.\n")
    assert PROSE.main([str(page)]) == 0
    assert "3.0 words on average" in capsys.readouterr().out
