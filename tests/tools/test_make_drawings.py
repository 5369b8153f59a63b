"""The drawings in docs/ are what their program draws, and need nothing from elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from programs import program
from test_imports import LAYERS

DRAW = program("make_drawings")


def test_the_drawings_are_up_to_date(capsys):
    assert DRAW.main(["--check"]) == 0, capsys.readouterr().out


def test_the_drawing_of_the_rooms_is_true_to_the_imports():
    """Rooms stand above what they import, or left of it where an arrow leads there; in one box the first may import the second."""
    drawing = DRAW.DRAWINGS["rooms"]
    places = {
        room: (box.row, box.column, number)
        for box in drawing.boxes
        for number, room in enumerate(reversed(box.text.split("|")[0].split(", ")))
    }
    layers = {room: below.split() for room, below in LAYERS.items() if "/" not in room and room != "face"}
    assert set(layers) - set(places) == set()
    for room, below in layers.items():
        for each in {name.split("/")[0] for name in below} - {"face"}:
            (row, column, number), (its_row, its_column, its_number) = places[room], places[each]
            beside = row == its_row and (column < its_column or (column == its_column and number != its_number))
            assert row < its_row or beside, f"{room} imports {each}, which the drawing has above it"
    arrows = [(next(box for box in drawing.boxes if box.name == name).column for name in (each.start, each.end)) for each in drawing.arrows]
    assert all(start < end for start, end in arrows)


@pytest.mark.parametrize("name", DRAW.DRAWINGS)
def test_a_drawing_is_whole(name):
    drawing = DRAW.DRAWINGS[name]
    names = [box.name for box in drawing.boxes]
    assert len(set(names)) == len(names)
    assert all({arrow.start, arrow.end} <= set(names) for arrow in drawing.arrows)
    root = ElementTree.fromstring(DRAW.svg(drawing))
    assert root.get("aria-label") == drawing.title
    assert "http" not in DRAW.svg(drawing).replace("http://www.w3.org/2000/svg", "")
