"""What a user says of the objects of one picture: points, boxes, scribbles; read from plain numbers and checked against the picture.

Coordinates are pixels (x, y), the origin is the top left corner, the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, TypeGuard

from vos_zoo.errors import PromptError
from vos_zoo.masks.packing import LARGEST_ID

POINTER = "pointer"  # the model that comes with the library
FORMS = "points=[(x, y)], boxes=(x0, y0, x1, y1) or scribbles=[[(x, y), (x, y)]], or each by object, points={1: [(x, y)], 2: [(x, y)]}"


class Told(TypedDict, total=False):
    """The keywords by which objects are pointed at, wherever a mask is taken; see `Prompts`."""

    points: Any
    boxes: Any
    scribbles: Any
    pointer: Any
    snap: bool


class Point(NamedTuple):
    x: float
    y: float
    positive: bool = True


class Box(NamedTuple):
    x0: float
    y0: float
    x1: float
    y1: float


class Stroke(NamedTuple):
    places: tuple[tuple[float, float], ...]
    positive: bool = True


@dataclass(frozen=True)
class ObjectPrompts:
    """All that is said of one object."""

    points: tuple[Point, ...] = ()
    box: Box | None = None
    strokes: tuple[Stroke, ...] = ()

    @property
    def tells_where(self) -> bool:
        """Whether it says where the object is, not only where it is not."""
        return self.box is not None or any(point.positive for point in self.points) or any(each.positive for each in self.strokes)


@dataclass(frozen=True)
class Prompts:
    """Points, boxes and scribbles in place of a mask, for one frame: what `propagate` takes as first_mask, or in `masks`.

    Args:
        points: {id: [(x, y), ...]}; a third number 0 says "not this": (x, y, 0). A list alone is of object 1.
        boxes: {id: (x0, y0, x1, y1)}, the object's left, upper, right and lower edge. Four numbers alone are of object 1,
            a list of boxes is of objects 1, 2 and so on.
        scribbles: {id: [stroke, ...]}, a stroke is a list of (x, y) along it, of (x, y, 0) for "not this". A list alone is of object 1.
        mask: what is to be corrected, in any form that `propagate` takes; its objects that nothing is said of stay as they are.
        pointer: the model that makes masks of this: a name, a folder, or what `load_pointer` gave.
        snap: the mask is loose, a circle around each object or a box: it is first fitted to the objects in it.

    Example:
        >>> masks = segmenter.propagate(video, points=[(320, 240)], masks={40: vos_zoo.Prompts(points={2: [(100, 80)]})})  # doctest: +SKIP
    """

    points: Any = None
    boxes: Any = None
    scribbles: Any = None
    mask: Any = None
    pointer: Any = POINTER
    snap: bool = False

    @classmethod
    def beside(cls, mask: object, told: Told) -> Any:
        """The mask itself where nothing is told; else what is told, which corrects the mask if there is one.

        Raises:
            TypeError: a name is none of `Told`'s.
            PromptError: the mask is told by prompts already, there is only the name of a model, or no mask to snap.
        """
        if unknown := sorted(set(told) - set(Told.__annotations__)):
            raise TypeError(f"unexpected keyword argument {unknown[0]!r}; to point at objects there are {', '.join(Told.__annotations__)}")
        if told.get("snap") and (mask is None or isinstance(mask, Prompts)):
            raise PromptError("snap=True fits a loose mask to its objects, and there is none: give a first mask, or leave it out")
        if told.get("snap"):
            return cls(**told, mask=mask)
        if all(told.get(name) is None for name in ("points", "boxes", "scribbles")):
            if "pointer" in told and not isinstance(mask, Prompts):
                raise PromptError(f"pointer={told['pointer']!r} has nothing to make a mask of: give {FORMS}")
            return mask
        if isinstance(mask, Prompts):
            raise PromptError("the same frame is pointed at twice, by Prompts and by points, boxes or scribbles: give one of them")
        return cls(**told, mask=mask)

    def read(self, size: tuple[int, int], known: Collection[int] = ()) -> dict[int, ObjectPrompts]:
        """The prompts by object, ids ascending.

        Args:
            size: (height, width) of the picture.
            known: objects that have a mask already, of which "not this" alone says enough.

        Raises:
            PromptError: nothing is said, a number is none, a place lies outside the picture, a box has no area, or nothing says where
                an object is.
        """
        points = {k: tuple(_points(each, k, size)) for k, each in _by_object(self.points, "points", _is_list_of_points).items()}
        boxes = {k: _box(each, k, size) for k, each in _by_object(_numbered(self.boxes), "boxes", _is_numbers).items()}
        strokes = {k: tuple(_strokes(each, k, size)) for k, each in _by_object(self.scribbles, "scribbles", _is_list).items()}
        found = {k: ObjectPrompts(points.get(k, ()), boxes.get(k), strokes.get(k, ())) for k in sorted({*points, *boxes, *strokes})}
        if not found and not (self.snap and self.mask is not None):
            raise PromptError(f"nothing says which object is meant: give {FORMS}")
        for k, each in found.items():
            if not each.tells_where and k not in known:
                raise PromptError(
                    f"object {k} has only points that say what it is not (x, y, 0): add one on the object, (x, y), or a box around it"
                )
        return found


def _by_object(given: Any, what: str, is_of_one: Callable[[Any], bool]) -> dict[int, Any]:
    """id -> what is said of it; what stands alone is of object 1."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        given = _plain(given)
        if not is_of_one(given):
            raise PromptError(f"{what} can't be {given!r:.80}: give {FORMS}")
        return {1: given}
    for key in given:
        if isinstance(key, bool) or not hasattr(key, "__index__") or not 1 <= int(key) <= LARGEST_ID:
            raise PromptError(f"{what} are of the object {key!r}, but ids are whole numbers from 1 to {LARGEST_ID}")
    return {int(key): _plain(each) for key, each in given.items()}


def _numbered(boxes: object) -> object:
    """A list of boxes, one an object, by number; anything else as it is."""
    given = _plain(boxes)
    return dict(enumerate(given, 1)) if _is_list(given) and given and all(map(_is_list, given)) else boxes


def _points(given: object, object_id: int, size: tuple[int, int]) -> Iterable[Point]:
    if _is_numbers(given):
        given = [given]
    if not _is_list_of_points(given):
        raise PromptError(f"the points of object {object_id} can't be {given!r:.80}: give [(x, y), ...], or (x, y, 0) for what it is not")
    for each in given:
        x, y, label = (*each, 1)[:3]
        if label not in (0, 1):
            raise PromptError(
                f"the point {tuple(each)} of object {object_id} ends in {label!r}: it is 1 for the object, 0 for what it is not"
            )
        _check_inside(x, y, f"the point ({x:g}, {y:g}) of object {object_id}", size)
        yield Point(float(x), float(y), bool(label))


def _box(given: object, object_id: int, size: tuple[int, int]) -> Box:
    if not _is_numbers(given) or len(given) != 4:
        raise PromptError(f"the box of object {object_id} can't be {given!r:.80}: give (x0, y0, x1, y1), left, upper, right, lower")
    box = Box(*map(float, given))
    height, width = size
    named = f"the box ({box.x0:g}, {box.y0:g}, {box.x1:g}, {box.y1:g}) of object {object_id}"
    if not all(map(math.isfinite, box)):
        raise PromptError(f"{named} holds a number that is none: give four pixels, (x0, y0, x1, y1)")
    if box.x1 <= box.x0 or box.y1 <= box.y0:
        raise PromptError(
            f"{named} has no area: it is (x0, y0, x1, y1), left, upper, right and lower edge, so x1 must exceed x0 and y1 exceed y0"
        )
    if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height:
        raise PromptError(
            f"{named} lies partly outside the picture, which is {width}x{height} (width x height): cut it to (0, 0, {width}, {height})"
        )
    return box


def _strokes(given: object, object_id: int, size: tuple[int, int]) -> Iterable[Stroke]:
    if _is_list_of_points(given):
        given = [given]
    if not _is_list(given) or not given or not all(_is_list_of_points(each) for each in given):
        raise PromptError(f"the scribbles of object {object_id} can't be {given!r:.80}: give a list of strokes, each a list of (x, y)")
    for each in given:
        places = list(_points(each, object_id, size))
        if len({place.positive for place in places}) > 1:
            raise PromptError(f"a stroke of object {object_id} goes from the object to what it is not: make it two strokes")
        yield Stroke(tuple((place.x, place.y) for place in places), places[0].positive)


def _check_inside(x: float, y: float, named: str, size: tuple[int, int]) -> None:
    height, width = size
    if not (math.isfinite(x) and math.isfinite(y)):
        raise PromptError(f"{named} is no place: give two pixels, (x, y)")
    if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
        raise PromptError(
            f"{named} lies outside the picture, which is {width}x{height}: x goes from 0 to {width - 1}, y from 0 to {height - 1}, "
            "from the top left corner"
        )


def _plain(given: object) -> Any:
    """Arrays and tensors as lists of numbers."""
    if hasattr(given, "tolist"):
        try:
            return given.tolist()
        except (RuntimeError, TypeError, NotImplementedError) as error:  # a tensor that is sparse, or without values
            raise PromptError(f"points, boxes and scribbles are numbers, and these can't be had ({str(error)[:80]})") from error
    return [_plain(each) for each in given] if isinstance(given, (list, tuple)) else given


def _is_list(given: object) -> TypeGuard[list[Any]]:
    return isinstance(given, (list, tuple))


def _is_numbers(given: object) -> TypeGuard[list[float]]:
    return _is_list(given) and bool(given) and all(isinstance(n, (int, float)) for n in given)


def _is_list_of_points(given: object) -> TypeGuard[list[Any]]:
    if _is_numbers(given):
        return len(given) in (2, 3)
    return _is_list(given) and bool(given) and all(_is_numbers(each) and len(each) in (2, 3) for each in given)
