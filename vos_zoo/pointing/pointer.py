"""A picture that is being pointed at: encoded once, asked as often as the user clicks.

A mask is made in two looks. The first sees the whole picture, small. The second sees the object and its surroundings, larger, with what the
first found as its previous mask (the local refinement of FocalClick, Chen et al. 2022, and the zoom of RITM, Sofiiuk et al. 2021, 3.5).
The first answer, and what a box or a loose mask gives, is fitted by the propagation model itself (`fitting.py`).
Both looks keep their features, and what fits the answer to a click reads those of the second: a further click takes only the heads, unless
the object leaves the second look by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.masks.read import ObjectMasks, read_mask
from vos_zoo.models.base import VOSModel
from vos_zoo.pointing.fitting import FITTED_LOOK, LEAST, SPREAD, STEPS, ellipse, fitted, found_in, resize
from vos_zoo.pointing.marks import DISK, STROKE, add_box, add_disk, blank
from vos_zoo.pointing.network import PointingNetwork, Reduced
from vos_zoo.pointing.prompts import Box, ObjectPrompts, Point, Prompts

if TYPE_CHECKING:
    from vos_zoo.masks.source import MaskLike

FIRST_LOOK, SECOND_LOOK = 192 * 256, 224 * 224  # pixels of the network's grid
SHRUNK = 0.05  # of its side, by which the box around a loose mask is smaller on every side: a circle is drawn around the object
GROWN = 0.1  # of its side, by which the object may lie outside of a box that was drawn around it
MARGIN = 0.3  # of the object's extent, on every side of it in the second look
ENLARGED = 1.15  # a second look must show the object at least so much larger than the first
MERGE_SIDE = 192  # pixels of the longer side at which pieces of a change are told apart
REACH = 6  # pixels of the picture around a click that belong to it
MOST_AROUND = 2  # times as much as a new look, which one that is kept may span
SMALLEST_LOOK = 64  # pixels of the picture that a second look spans at least


class Window(NamedTuple):
    """A part of the picture, in its pixels, as an array is sliced."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def holds(self, other: Window) -> bool:
        return self.top <= other.top and self.left <= other.left and self.bottom >= other.bottom and self.right >= other.right


@dataclass
class Look:
    """A window of the picture on the network's grid, encoded."""

    window: Window
    grid: tuple[int, int]
    image: Reduced
    features: Any  # of the encoder

    @property
    def scale(self) -> float:
        """Pixels of the grid for one of the picture."""
        return ((self.grid[0] * self.grid[1]) / (self.window.size[0] * self.window.size[1])) ** 0.5


class Pointer:
    """One picture, encoded when it is first asked.

    Args:
        image: (H, W, 3) uint8 RGB.
        network: the head.
        encoder: whose features it reads.

    Example:
        >>> pointer = vos_zoo.load_pointer().look(frame)  # doctest: +SKIP
        >>> mask = pointer.mask(points=[(320, 240)])  # doctest: +SKIP
        >>> mask = pointer.mask(points=[(320, 240), (400, 250, 0)])  # doctest: +SKIP
    """

    def __init__(self, image: np.ndarray, network: PointingNetwork, encoder: VOSModel):
        self.image, self.network, self.encoder = image, network, encoder
        parameter = next(network.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self._whole: Look | None = None
        self._near: dict[int, Look] = {}
        self._fitting: Look | None = None  # the last that fitted a box or a loose mask
        self._heard: dict[int, dict[Any, Tensor]] = {}

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.image.shape[0], self.image.shape[1]

    def mask(self, points: object = None, boxes: object = None, scribbles: object = None, mask: MaskLike | None = None) -> np.ndarray:
        """The objects that are pointed at, (H, W) ids: uint8, or int32 if an id exceeds 254.

        Args:
            points: {id: [(x, y), ...]}, (x, y, 0) for "not this"; a list alone is of object 1.
            boxes: {id: (x0, y0, x1, y1)}; four numbers alone are of object 1, a list of boxes of objects 1, 2 and so on.
            scribbles: {id: [stroke, ...]}, a stroke is a list of (x, y); a list alone is of object 1.
            mask: what is to be corrected, in any form that `propagate` takes; objects of it that nothing is said of stay as they are.

        Raises:
            PromptError: nothing says where an object is, a place lies outside the picture, or a box has no area.
            MaskError: the mask can't be read, or is of another size.
        """
        found = self.objects(Prompts(points, boxes, scribbles), mask)
        return found.labels.astype(np.uint8 if max(found.ids) < 255 else np.int32)

    def objects(self, prompts: Prompts, mask: MaskLike | None = None) -> ObjectMasks:
        """`mask`, of prompts and with ids."""
        before = None if mask is None else read_mask(mask, size=self.size, allow_empty=True)
        told = prompts.read(self.size, () if before is None else before.ids)
        labels = np.zeros(self.size, np.int32) if before is None else before.labels.copy()
        best = np.zeros(self.size, np.float32)
        for k, said in told.items():
            known = None if before is None or k not in before.ids else before.labels == k
            probs = self.probabilities(said, known, name=k)
            inside = probs > _threshold(probs, said)
            labels[labels == k] = 0
            mine = inside & (probs > best)
            labels[mine] = k
            best[mine] = probs[mine]
        return ObjectMasks(labels, tuple(sorted({*told, *(before.ids if before else ())})))

    @torch.inference_mode()
    def snapped(self, mask: MaskLike) -> ObjectMasks:
        """A loose mask, such as a circle around each object, fitted to the objects in it. An object that is not found stays as it was.

        Args:
            mask: in any form that `propagate` takes, of the picture's size.

        Raises:
            MaskError: the mask can't be read, or is of another size.

        Example:
            >>> mask = vos_zoo.load_pointer().look(frame).snapped("circled.png")  # doctest: +SKIP
        """
        loose = read_mask(mask, size=self.size)
        labels = np.zeros(self.size, np.int32)
        for k in loose.ids:
            inside = loose.labels == k
            ys, xs = np.nonzero(inside)
            x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            dx, dy = SHRUNK * (x1 - x0), SHRUNK * (y1 - y0)
            pointed = self._both_looks(ObjectPrompts(box=Box(x0 + dx, y0 + dy, x1 - dx, y1 - dy)), None, name=-k)
            where = torch.from_numpy(inside).to(self.device)
            found = self._found_in(where, pointed, where.float()).cpu().numpy() > 0.5
            labels[found if found.sum() >= LEAST * inside.sum() else inside] = k
        return ObjectMasks(labels, loose.ids)

    @torch.inference_mode()
    def probabilities(self, said: ObjectPrompts, mask: np.ndarray | None = None, *, name: int = 1) -> np.ndarray:
        """How likely each pixel is of the object, (H, W) float32 in [0, 1].

        What is said is heard in its order, as the network learned it: the box and the strokes, then a point after the other, each with
        the mask before it. Answers are kept, so that one more point, or one fewer, takes no more than its own share of the work.

        Args:
            said: of the object, checked.
            mask: (H, W) bool or in [0, 1], what is to be corrected.
            name: of the object: each keeps a second look and answers of its own.
        """
        begin = None if mask is None else hash(mask.tobytes())
        heard = self._heard.setdefault(name, {})
        probs = None if mask is None else torch.from_numpy(np.ascontiguousarray(mask, np.float32)).to(self.device)
        for step in _in_order(said, known=mask is not None):
            key = (begin, step)
            if key not in heard:
                answer = self._answer(step, probs, name)
                if probs is not None and step.points:
                    answer = merged(probs, answer, step.points[-1])
                heard[key] = answer
            probs = heard[key]
        assert probs is not None
        return probs.float().cpu().numpy()

    def _answer(self, said: ObjectPrompts, before: Tensor | None, name: int) -> Tensor:
        probs = self._both_looks(said, before, name)
        if before is not None:  # a correction changes what is near it, and nothing else
            return probs
        if said.box is None or said.points or said.strokes:
            return self._settled(probs, said, name)
        round_ = ellipse(*self.size, said.box, like=probs)
        x0, y0, x1, y1 = said.box
        dx, dy, where = GROWN * (x1 - x0), GROWN * (y1 - y0), torch.zeros(self.size, dtype=torch.bool, device=self.device)
        where[max(0, int(y0 - dy)) : math.ceil(y1 + dy), max(0, int(x0 - dx)) : math.ceil(x1 + dx)] = True
        return self._found_in(where, probs, round_)

    def _settled(self, probs: Tensor, said: ObjectPrompts, name: int) -> Tensor:
        """The answer to a first click, fitted by the propagation model; as it was if that loses what was clicked on."""
        inside = probs > 0.5
        if not inside.any():
            return probs
        look, found = self._near_look(_window_of(inside), name), torch.zeros_like(probs)
        w = look.window
        part = np.s_[w.top : w.bottom, w.left : w.right]
        found[part] = probs[part]
        for step in range(STEPS):
            found[part] = fitted(self.encoder, look, found[part], spread=SPREAD if step == 0 else 0.0)
        kept = [(round(p.y), round(p.x)) for p in said.points if p.positive and inside[round(p.y), round(p.x)]]
        return found if all(found[place] > 0.5 for place in kept) else probs

    def _found_in(self, inside: Tensor, pointed: Tensor, likely: Tensor) -> Tensor:
        """`fitting.found_in` for masks of the picture, (H, W) each."""
        w = self._widened(_window_of(inside))
        if self._fitting is None or self._fitting.window != w:
            self._fitting = self._look(w, FITTED_LOOK)
        part = np.s_[w.top : w.bottom, w.left : w.right]
        found = torch.zeros_like(pointed)
        found[part] = found_in(self.encoder, self._fitting, pointed[part], likely[part], inside[part])
        return found

    def _both_looks(self, said: ObjectPrompts, before: Tensor | None, name: int) -> Tensor:
        if self._whole is None:
            self._whole = self._look(Window(0, 0, *self.size), FIRST_LOOK)
        probs = self._asked(self._whole, said, before)
        near = self._second_look(probs, said, name)
        if near is None:
            return probs
        w = near.window
        probs = probs.clone()
        probs[w.top : w.bottom, w.left : w.right] = self._asked(near, said, probs)
        return probs

    def _second_look(self, probs: Tensor, said: ObjectPrompts, name: int) -> Look | None:
        """Where the object is, larger; None where that shows no more than the first look did."""
        assert self._whole is not None
        wanted = self._around(probs, said)
        shows_more = (SECOND_LOOK / _area(wanted)) ** 0.5 >= ENLARGED * self._whole.scale
        return self._near_look(wanted, name) if shows_more or self._shown_near(wanted, name) else None

    def _near_look(self, wanted: Window, name: int) -> Look:
        """A window and its surroundings, larger: the look that is kept of an object, or a new one where that shows too little of it."""
        if not self._shown_near(wanted, name):
            self._near[name] = self._look(self._widened(wanted), SECOND_LOOK)
        return self._near[name]

    def _shown_near(self, wanted: Window, name: int) -> bool:
        kept = self._near.get(name)
        return kept is not None and kept.window.holds(wanted) and _area(kept.window) <= MOST_AROUND * _area(self._widened(wanted))

    def _around(self, probs: Tensor, said: ObjectPrompts) -> Window:
        """The smallest window that shows the mask and all that was said of the object."""
        inside = probs > 0.5
        ys, xs = [inside.any(1).nonzero()[:, 0]], [inside.any(0).nonzero()[:, 0]]
        places = [(p.x, p.y) for p in said.points if p.positive] + [place for s in said.strokes if s.positive for place in s.places]
        if said.box is not None:
            places += [(said.box.x0, said.box.y0), (said.box.x1 - 1, said.box.y1 - 1)]
        if places:
            spots = torch.tensor(places, device=probs.device).round().long()
            xs.append(spots[:, 0])
            ys.append(spots[:, 1])
        if not sum(map(len, xs)):
            return Window(0, 0, *self.size)
        y, x = torch.cat(ys), torch.cat(xs)
        return Window(int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)

    def _widened(self, window: Window) -> Window:
        """With surroundings, within the picture."""
        height, width = self.size
        more = [max(MARGIN * side, (SMALLEST_LOOK - side) / 2, 0.15 * max(window.size)) for side in window.size]
        return Window(
            max(0, int(window.top - more[0])),
            max(0, int(window.left - more[1])),
            min(height, int(window.bottom + more[0]) + 1),
            min(width, int(window.right + more[1]) + 1),
        )

    def _look(self, window: Window, area: int) -> Look:
        height, width = window.size
        scale = (area / (height * width)) ** 0.5
        stride = self.encoder.stride
        grid = (max(2, round(height * scale / stride)) * stride, max(2, round(width * scale / stride)) * stride)
        part = np.ascontiguousarray(self.image[window.top : window.bottom, window.left : window.right])
        pixels = torch.from_numpy(part).to(self.device).permute(2, 0, 1)[None]
        frame = resize(pixels.float(), grid).clamp_(0, 255).div_(255)
        features = self.encoder.encode(frame.contiguous(memory_format=torch.channels_last))
        return Look(window, grid, self.network.prepare(features), features)

    def _asked(self, look: Look, said: ObjectPrompts, before: Tensor | None) -> Tensor:
        """The object's probabilities in the window of a look, at the picture's resolution."""
        marks = self._marks(look, said, before)
        logits = self.network(look.image, marks.to(self.dtype))[0]
        return resize(logits[:, None], look.window.size)[0, 0].sigmoid()

    def _marks(self, look: Look, said: ObjectPrompts, before: Tensor | None) -> Tensor:
        """What was said, on the grid of a look: (1, 4, H, W)."""
        window, (height, width) = look.window, look.grid
        marks = blank(1, height, width, like=torch.zeros((), device=self.device))
        fy, fx = height / window.size[0], width / window.size[1]

        def place(x: float, y: float) -> tuple[float, float]:
            return (x + 0.5 - window.left) * fx - 0.5, (y + 0.5 - window.top) * fy - 0.5

        for point in said.points:
            add_disk(marks[0], *place(point.x, point.y), point.positive, DISK)
        for stroke in said.strokes:
            for x, y in _along([place(x, y) for x, y in stroke.places]):
                add_disk(marks[0], x, y, stroke.positive, STROKE)
        if said.box is not None:
            b = said.box
            add_box(marks[0], ((b.x0 - window.left) * fx, (b.y0 - window.top) * fy, (b.x1 - window.left) * fx, (b.y1 - window.top) * fy))
        if before is not None:
            part = before[window.top : window.bottom, window.left : window.right]
            marks[0, 3] = resize(part[None, None].float(), look.grid)[0, 0]
        return marks


def merged(before: Tensor, after: Tensor, click: Point) -> Tensor:
    """The answer to a further click, where it changes the mask in one piece with the click; elsewhere what was there before.

    So a click never undoes what was right far from it (the progressive merge of FocalClick, Chen et al. 2022, 3.3); one that changes
    nothing where it lies is taken for the whole. Beyond that paper: a click on the object only adds, another only takes away.
    before, after (H, W) in [0, 1]. The pieces are told apart at MERGE_SIDE pixels a side.
    """
    after = torch.maximum(before, after) if click.positive else torch.minimum(before, after)
    changed = (before > 0.5) != (after > 0.5)
    factor = max(1, -(-max(changed.shape) // MERGE_SIDE))
    coarse = F.max_pool2d(changed[None, None].float(), factor, ceil_mode=True)
    y, x = round(click.y) // factor, round(click.x) // factor
    piece = torch.zeros_like(coarse)
    reach = max(1, REACH // factor)
    piece[..., max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = 1
    piece *= coarse
    if not piece.any():
        return after
    while True:
        grown = F.max_pool2d(piece, 3, 1, 1) * coarse
        if torch.equal(grown, piece):
            break
        piece = grown
    height, width = changed.shape
    here = piece.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[0, 0, :height, :width] > 0
    return torch.where(changed & ~here, before, after)


def _in_order(said: ObjectPrompts, known: bool) -> Iterator[ObjectPrompts]:
    """What was said up to each point; from where on it tells where the object is, unless a mask does."""
    heard = ObjectPrompts((), said.box, said.strokes)
    if heard.tells_where or (known and said.strokes):
        yield heard
    for n in range(1, 1 + len(said.points)):
        heard = ObjectPrompts(said.points[:n], said.box, said.strokes)
        if heard.tells_where or known:
            yield heard


def _along(places: list[tuple[float, float]], step: float = 2.0) -> list[tuple[float, float]]:
    """The places of a stroke, with others between them at most `step` pixels apart."""
    if len(places) == 1:
        return places
    dense: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in zip(places[:-1], places[1:], strict=True):
        count = max(1, int(np.hypot(x1 - x0, y1 - y0) / step))
        dense += [(x0 + (x1 - x0) * n / count, y0 + (y1 - y0) * n / count) for n in range(count)]
    return [*dense, places[-1]]


def _threshold(probs: np.ndarray, said: ObjectPrompts) -> float:
    """0.5, or less where nothing exceeds that although something says where the object is."""
    most = float(probs.max())
    return 0.5 if most > 0.5 or not said.tells_where else 0.5 * most


def _window_of(inside: Tensor) -> Window:
    """The smallest window that holds what is True in (H, W)."""
    y, x = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    return Window(int(y[0]), int(x[0]), int(y[-1]) + 1, int(x[-1]) + 1)


def _area(window: Window) -> int:
    return window.size[0] * window.size[1]
