"""What can be said of objects, and what is refused with a sentence that helps."""

from __future__ import annotations

import numpy as np
import pytest

from vos_zoo.errors import PromptError
from vos_zoo.pointing.prompts import Box, Point, Prompts, Stroke

SIZE = (360, 640)


def test_what_stands_alone_is_of_object_1():
    told = Prompts(points=[(320, 240), (10, 20, 0)], boxes=(0, 0, 640, 360), scribbles=[(1, 2), (3, 4)]).read(SIZE)
    assert list(told) == [1]
    assert told[1].points == (Point(320, 240, True), Point(10, 20, False))
    assert told[1].box == Box(0, 0, 640, 360)
    assert told[1].strokes == (Stroke(((1, 2), (3, 4)), True),)


def test_objects_by_id_from_any_numbers():
    told = Prompts(points={7: np.array([[5, 6]]), 2: (3, 4)}, scribbles={7: [[(0, 0, 0), (9, 9, 0)]]}).read(SIZE)
    assert list(told) == [2, 7]
    assert told[2].points == (Point(3, 4),)
    assert told[7].strokes == (Stroke(((0, 0), (9, 9)), False),)


@pytest.mark.parametrize("boxes", [[(1, 2, 30, 40), (5, 6, 70, 80)], np.array([[1, 2, 30, 40], [5, 6, 70, 80]])])
def test_a_list_of_boxes_is_one_an_object(boxes):
    told = Prompts(boxes=boxes).read(SIZE)
    assert {k: each.box for k, each in told.items()} == {1: Box(1, 2, 30, 40), 2: Box(5, 6, 70, 80)}
    assert Prompts(boxes=boxes[:1]).read(SIZE)[1].box == Box(1, 2, 30, 40)


def test_a_mask_may_be_corrected_by_what_it_is_not_alone():
    assert Prompts(points=[(3, 4, 0)]).read(SIZE, known=(1,))[1].points[0].positive is False


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        (Prompts(), "nothing says which object"),
        (Prompts(points=[(640, 10)]), "x goes from 0 to 639"),
        (Prompts(points=[(10, -1)]), "outside the picture, which is 640x360"),
        (Prompts(points=[(10, float("nan"))]), "is no place"),
        (Prompts(points=[(10, 10, 2)]), "it is 1 for the object, 0 for what it is not"),
        (Prompts(points=[(10, 10, 0)]), "add one on the object"),
        (Prompts(points={1: [(5, 5)], 2: [(10, 10, 0)]}), "object 2 has only points that say what it is not"),
        (Prompts(points="320,240"), "points can't be '320,240'"),
        (Prompts(points={0: [(1, 1)]}), "whole numbers from 1"),
        (Prompts(points={"dog": [(1, 1)]}), "of the object 'dog'"),
        (Prompts(points=[(1, 2, 1, 4)]), "give points="),
        (Prompts(boxes=(10, 10, 10, 50)), "has no area"),
        (Prompts(boxes=(50, 10, 10, 50)), "x1 must exceed x0"),
        (Prompts(boxes=(0, 0, 641, 50)), "cut it to (0, 0, 640, 360)"),
        (Prompts(boxes=(0, 0, float("inf"), 50)), "a number that is none"),
        (Prompts(boxes=(1, 2, 3)), "left, upper, right, lower"),
        (Prompts(scribbles=[[(1, 1), (2, 2, 0)]]), "make it two strokes"),
        (Prompts(scribbles=[[(1, 1), (2, 400)]]), "outside the picture"),
        (Prompts(scribbles=[]), "scribbles of object 1"),
    ],
)
def test_what_cannot_be_right_is_refused(prompts, says):
    with pytest.raises(PromptError) as refused:
        prompts.read(SIZE)
    assert says in str(refused.value)


def test_keywords_beside_a_mask():
    mask = np.ones((4, 4), bool)
    assert Prompts.beside(mask, {}) is mask
    told = Prompts.beside(mask, {"points": [(1, 1)]})
    assert told.mask is mask and told.points == [(1, 1)]
    with pytest.raises(TypeError, match="pionts"):
        Prompts.beside(None, {"pionts": [(1, 1)]})
    with pytest.raises(PromptError, match="twice"):
        Prompts.beside(Prompts(points=[(1, 1)]), {"points": [(1, 1)]})
    with pytest.raises(PromptError, match="nothing to make a mask of"):
        Prompts.beside(None, {"pointer": "pointer"})
