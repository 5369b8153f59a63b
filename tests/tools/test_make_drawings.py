"""The drawings in docs/ are what their program draws, and need nothing from elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from programs import program

DRAW = program("make_drawings")


def test_the_drawings_are_up_to_date(capsys):
    assert DRAW.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", DRAW.DRAWINGS)
def test_a_drawing_is_whole(name):
    drawing = DRAW.DRAWINGS[name]
    names = [box.name for box in drawing.boxes]
    assert len(set(names)) == len(names)
    assert all({arrow.start, arrow.end} <= set(names) for arrow in drawing.arrows)
    root = ElementTree.fromstring(DRAW.svg(drawing))
    assert root.get("aria-label") == drawing.title
    assert "http" not in DRAW.svg(drawing).replace("http://www.w3.org/2000/svg", "")
