"""How many clicks an object takes: the protocol of interactive segmentation (Xu et al. 2016; Sofiiuk et al. 2021, RITM 4.1).

A simulated user clicks into the middle of the largest error until the mask agrees with the truth, at most 20 times. NoC@85 is the mean
number of clicks to an IoU of 85 %, an object that never gets there counts as 20; mIoU@3 is the mean IoU after three clicks.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vos_zoo.datasets.kept_out import kept_out
from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.metrics import jaccard
from vos_zoo.masks.read import read_mask
from vos_zoo.pointing.prompts import POINTER, Box, ObjectPrompts, Point
from vos_zoo.pointing.simulated import box_of, circle_around, next_click
from vos_zoo.videos.images import IMAGE_SUFFIXES, read_frame
from vos_zoo.videos.video import open_video

if TYPE_CHECKING:
    from vos_zoo.pointing.model import PointingModel
    from vos_zoo.videos.source import VideoSource

MOST_CLICKS = 20
FEWEST_CLICKS, HIGHEST = 5, 0.9  # clicks that are made in any case; IoU beyond which no more is asked
SMALLEST = 0.004  # of the picture: smaller objects are not asked for
LARGEST = 0.7


@dataclass(frozen=True)
class Target:
    """An object of a picture."""

    name: str
    image: Callable[[], np.ndarray]  # (H, W, 3) uint8
    mask: Callable[[], np.ndarray]  # (H, W) bool


@dataclass(frozen=True)
class ObjectClicks:
    """What became of one object."""

    name: str
    ious: tuple[float, ...]  # after 1, 2, ... clicks; shorter where nothing was left to correct
    box: float  # IoU from a box alone
    circle: float  # of a loose circle around it, as it is drawn
    snapped: float  # of that circle fitted to the object

    def after(self, clicks: int) -> float:
        return self.ious[min(clicks, len(self.ious)) - 1]

    def clicks_to(self, iou: float) -> int:
        return next((n for n, each in enumerate(self.ious, 1) if each >= iou), MOST_CLICKS)


@dataclass
class ClickScores:
    objects: list[ObjectClicks] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """NoC@85, NoC@90 in clicks; mIoU@1, 2, 3, 5, of a box, of a loose circle and of that fitted to the object, in percent."""
        if not self.objects:
            raise EvaluationError("there is no object to click on")
        found = {f"NoC@{iou}": float(np.mean([each.clicks_to(iou / 100) for each in self.objects])) for iou in (85, 90)}
        found |= {f"mIoU@{n}": 100 * float(np.mean([each.after(n) for each in self.objects])) for n in (1, 2, 3, 5)}
        return found | {
            f"mIoU {name}": 100 * float(np.mean([getattr(each, name) for each in self.objects])) for name in ("box", "circle", "snapped")
        }

    def table(self) -> str:
        figures = self.figures()
        head = "  ".join(f"{name:>12}" for name in ("objects", *figures))
        return f"{head}\n{len(self.objects):>12}  " + "  ".join(f"{value:12.2f}" for value in figures.values())

    def to_json(self, path: Path) -> None:
        rows = {"figures": self.figures(), "objects": [asdict(each) for each in self.objects]}
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def click(pointing: PointingModel, targets: Iterable[Target], *, progress: Callable[[ObjectClicks], object] | None = None) -> ClickScores:
    """Point at every object as a user would who wants exactly its mask.

    Args:
        pointing: what `load_pointer` gives, or anything with `look(image)`.
        targets: the objects.
        progress: called after each.
    """
    scores = ClickScores()
    for target in targets:
        scores.objects.append(_clicked(pointing, target))
        if progress is not None:
            progress(scores.objects[-1])
    return scores


def _clicked(pointing: PointingModel, target: Target) -> ObjectClicks:
    truth = target.mask()
    pointer = pointing.look(target.image())
    boxed = pointer.probabilities(ObjectPrompts(box=Box(*box_of(truth))), name=0) > 0.5
    points: list[Point] = []
    predicted, told = np.zeros_like(truth), np.zeros_like(truth)
    ious: list[float] = []
    while len(points) < MOST_CLICKS and (len(points) < FEWEST_CLICKS or max(ious) < HIGHEST):
        where = next_click(truth, predicted, told)
        if where is None:
            break
        told[where.y, where.x] = True
        points.append(Point(*where))
        predicted = pointer.probabilities(ObjectPrompts(tuple(points))) > 0.5
        ious.append(_iou(truth, predicted))
    circle = circle_around(truth, drawn_by(target.name))
    snapped = pointer.snapped(circle).labels > 0
    return ObjectClicks(target.name, tuple(ious), _iou(truth, boxed), _iou(truth, circle), _iou(truth, snapped))


def begun(how: str, video: VideoSource, given: Mapping[int, Any], device: object = "auto") -> dict[int, dict[int, np.ndarray]]:
    """What a model is given if a simulated user points at the objects instead of drawing them.

    Args:
        how: "1-click", "3-clicks", "box", "circle" (loose, as it is drawn) or "snapped-circle", of each object.
        video: whatever `open_video` takes.
        given: frame index -> true labels (H, W), or {id: (H, W) bool}.
        device: where the pointer computes.

    Returns:
        Frame index -> {id: mask}.
    """
    from vos_zoo.pointing.model import kept_pointer

    pointing = kept_pointer(POINTER, str(device), "auto")
    found: dict[int, dict[int, np.ndarray]] = {}
    source = open_video(video)
    for index, truth in given.items():
        objects = truth if isinstance(truth, Mapping) else {int(k): truth == k for k in np.unique(truth) if k}
        pointer = pointing.look(next(iter(source.read(index, index + 1))))
        best = np.full((source.height, source.width), 0.5, np.float32)
        labels = np.zeros(best.shape, np.int32)
        for k, mask in objects.items():
            probs = _begun_by(pointer, how, mask, k)
            mine = probs > best
            labels[mine], best[mine] = k, probs[mine]
        found[index] = {k: labels == k for k in objects}
    return found


def _begun_by(pointer: Any, how: str, truth: np.ndarray, name: int) -> np.ndarray:
    """The object's probabilities as a simulated user has it marked."""
    if how == "box":
        return pointer.probabilities(ObjectPrompts(box=Box(*box_of(truth))), name=name)
    if how.endswith("circle"):
        circle = circle_around(truth, drawn_by(str(name)))
        return (circle if how == "circle" else pointer.snapped(circle).labels > 0).astype(np.float32)
    return _after(pointer, truth, int(how[0]), name=name)


def drawn_by(name: str) -> np.random.Generator:
    """The hand that draws a circle around an object: the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _after(pointer: Any, truth: np.ndarray, clicks: int, name: int) -> np.ndarray:
    """The object's probabilities after so many clicks of a user who wants `truth`."""
    points: list[Point] = []
    probs, told = np.zeros(truth.shape, np.float32), np.zeros_like(truth)
    while len(points) < clicks:
        where = next_click(truth, probs > 0.5, told)
        if where is None:
            break
        told[where.y, where.x] = True
        points.append(Point(*where))
        probs = pointer.probabilities(ObjectPrompts(tuple(points)), name=name)
    return probs


def _iou(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(jaccard(truth[None], predicted[None])[0])


def targets_of_stills(folders: Sequence[Path], one_in: int) -> Iterator[Target]:
    """The objects of the kept-out stills of folders of images/ and masks/, by name.

    Args:
        folders: as `vos-zoo train` takes them.
        one_in: the recipe's `kept_out`; 1: all.
    """
    for folder in folders:
        masks = {path.stem: path for path in sorted((folder / "masks").glob("*.png"))}
        images = {path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES}
        names = {f"{folder.name}/{stem}": stem for stem in sorted(images.keys() & masks.keys())}
        if not names:
            raise EvaluationError(f"{folder} holds no still with a mask: expected {folder / 'images'} and {folder / 'masks'}")
        for name in sorted(kept_out(names, one_in)):
            image, mask = images[names[name]], masks[names[name]]
            labels = read_mask(mask, allow_empty=True).labels
            for k in np.unique(labels):
                if k and SMALLEST <= np.mean(labels == k) <= LARGEST:
                    yield Target(f"{name}#{k}", partial(read_frame, image, str(image)), partial(np.equal, labels, k))


def targets_of_clips(clips: Iterable[Clip]) -> Iterator[Target]:
    """The objects of the first true masks of clips."""
    for clip in clips:
        labels = clip.truth(clip.first)
        for k in np.unique(labels):
            if k:
                yield Target(f"{clip.name}#{k}", partial(_frame, clip), partial(np.equal, labels, k))


def _frame(clip: Clip) -> np.ndarray:
    return next(iter(open_video(clip.video).read(clip.first, clip.first + 1)))
