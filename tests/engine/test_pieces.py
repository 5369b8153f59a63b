"""Pieces of masks that are background's or another object's: which they are, and what of them goes over."""

from __future__ import annotations

import pytest
import torch

from vos_zoo.engine.appearance import Likeness
from vos_zoo.engine.pieces import background_pieces, connected, pieces_apart


def drawn(*rows: str) -> torch.Tensor:
    """(h, w) bool: True where a row has a #."""
    return torch.tensor([[each == "#" for each in row] for row in rows])


TWO = drawn("##....", "##...#", "....##")  # four cells, and three that hang together by a corner


def two_objects(alike: float, own: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Object 0 has both pieces, 1 has none; the piece at the right is so much like object 1, and so much like 0."""
    masks, maps = torch.zeros(2, 3, 6), torch.zeros(2, 3, 6)
    masks[0] = 0.9 * TWO
    maps[0, :2, :2] = 1.0
    maps[:, 1:, 4:] = torch.tensor([own, alike])[:, None, None]
    return masks, maps


def test_cells_that_are_cut():
    """Two filled cells side by side, with their rim; one alone stays, and so does a mask of which nothing else is left."""
    masks, maps, background = torch.zeros(3, 5, 7), torch.zeros(3, 5, 7), torch.zeros(3, 5, 7, dtype=torch.bool)
    masks[:, 1, 1:3] = 0.9
    masks[:, 2, 1:3] = 0.2  # the rim
    masks[:, 4, 6] = 1.0
    maps[:2, 4, 6] = 1.0
    background[:, 1:3, 1:3] = True
    background[0, 0] = True  # where there is no mask
    background[1, 1, 1] = False
    (cut,) = background_pieces(masks, Likeness(maps, background))
    assert (cut.giver, cut.taker) == (0, None)
    assert torch.equal(cut.cells, background[0] & (masks[0] > 0)) and cut.cells.sum() == 4


def test_cells_that_touch_are_connected():
    labels = connected(torch.stack([TWO, ~TWO, torch.zeros_like(TWO)]))
    assert labels[0].unique().numel() == 3 and labels[1].unique().numel() == 2 and not labels[2].any()
    assert torch.equal(labels[0] > 0, TWO) and len(labels[0, :2, :2].unique()) == 1


def test_however_they_wind():
    winds = drawn("#######", "......#", "#####.#", "#...#.#", "#.###.#", "#.....#", "#######")
    assert connected(winds[None]).unique().numel() == 2


def test_a_piece_that_is_like_another_object_is_that_objects():
    masks, maps = two_objects(alike=0.6, own=0.3)
    masks[0, 0, 4], masks[0, 0, 2] = 0.2, 0.2  # rims of either piece
    (piece,) = pieces_apart(masks, maps)
    assert (piece.giver, piece.taker) == (0, 1)
    assert torch.equal(piece.cells, drawn("....#.", ".....#", "....##"))


@pytest.mark.parametrize(("alike", "own"), [(0.3, 0.6), (0.4, 0.4), (0.1, 0.1)])
def test_others_stay(alike: float, own: float):
    assert not list(pieces_apart(*two_objects(alike, own)))


def test_the_piece_most_like_the_object_stays_whatever_else_it_is_like():
    masks, maps = two_objects(alike=0.9, own=0.1)
    maps[0, :2, :2], maps[1, :2, :2] = 0.2, 0.8
    (piece,) = pieces_apart(masks, maps)
    assert not piece.cells[:2, :2].any()


def test_it_has_to_be_more_like_one_than_like_all_the_rest():
    masks, maps = (torch.cat([each, torch.zeros(1, 3, 6)]) for each in two_objects(alike=0.4, own=0.1))
    maps[2, 1:, 4:] = 0.35
    assert not list(pieces_apart(masks, maps))


@pytest.mark.parametrize("alike", [0.9, 0.0])
def test_a_single_cell_is_no_piece(alike: float):
    masks, maps = two_objects(alike, own=0.1)
    masks[0, 2, 4:] = 0
    assert not list(pieces_apart(masks, maps))


def test_an_object_that_is_alone_keeps_its_pieces():
    masks, maps = two_objects(alike=0.9, own=0.3)
    assert not list(pieces_apart(masks[:1], maps[:1])) and not list(pieces_apart(masks[:0], maps[:0]))


@pytest.mark.parametrize("objects", [1, 2])
def test_unless_one_looks_like_no_object(objects: int):
    masks, maps = (each[:objects] for each in two_objects(alike=0.05, own=0.08))
    masks[0, 0, 4] = 0.2  # the rim
    (piece,) = pieces_apart(masks, maps)
    assert (piece.giver, piece.taker) == (0, None)
    assert torch.equal(piece.cells, drawn("....#.", ".....#", "....##"))


def test_but_not_where_the_object_has_changed():
    """Its own piece looks half as it did: the other one may be a new side of it."""
    masks, maps = two_objects(alike=0.0, own=0.0)
    maps[0, :2, :2] = 0.5
    assert not list(pieces_apart(masks, maps))
