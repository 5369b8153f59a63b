"""J and F of one clip: the predicted masks against the true ones, object by object, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.assignment import assign
from vos_zoo.evaluation.clip import Clip, ids_in
from vos_zoo.evaluation.metrics import boundary_f, jaccard, pairs

MOST_PROPOSALS = 20  # of unsupervised DAVIS


class Masks(Protocol):
    """Predicted labels by frame: a MaskSequence, a (T, H, W) array, a dict."""

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class Cost:
    """What a model took to propagate one clip."""

    seconds: float  # decoding included
    frames: int  # that were propagated in that time
    memory: int | None = None  # peak of the process until then, bytes
    device_memory: int | None = None  # peak of tensors on the GPU, bytes
    conditions: str = ""  # device, precision, threads, processes at once
    load: float | None = None  # load average of the machine when it was done


@dataclass(frozen=True)
class ClipScore:
    """J and F of every object of one clip on every scored frame, NaN where the object is not scored (it begins later)."""

    name: str
    frames: tuple[int, ...]  # (N,) scored frames
    object_ids: tuple[int, ...]  # (K,)
    j: NDArray[np.float64]  # (K, N)
    f: NDArray[np.float64]  # (K, N)
    cost: Cost | None = None  # None for masks made elsewhere
    seen: tuple[bool, ...] | None = None  # (K,) whether an object's category was trained on
    proposals: tuple[int, ...] | None = None  # (K,) the predicted id matched to each object, unsupervised

    @property
    def jf(self) -> float:
        """J&F, the mean over objects and frames."""
        return float(np.nanmean(self.j, 1).mean() + np.nanmean(self.f, 1).mean()) / 2

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, exact; `from_dict` reads them back."""
        return {
            "name": self.name,
            "frames": list(self.frames),
            "object_ids": list(self.object_ids),
            "j": [[None if np.isnan(v) else float(v) for v in row] for row in self.j],
            "f": [[None if np.isnan(v) else float(v) for v in row] for row in self.f],
            "cost": None if self.cost is None else vars(self.cost),
            "seen": None if self.seen is None else list(self.seen),
            "proposals": None if self.proposals is None else list(self.proposals),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ClipScore:
        """The inverse of `as_dict`. KeyError, TypeError or ValueError if the record is not one."""
        j, f = (np.array([[nan if v is None else v for v in row] for row in record[name]], dtype=np.float64) for name in "jf")
        frames, ids = tuple(record["frames"]), tuple(record["object_ids"])
        if not j.shape == f.shape == (len(ids), len(frames)):
            raise ValueError(f"values of shape {j.shape} and {f.shape} for {len(ids)} objects and {len(frames)} frames")
        cost = None if record["cost"] is None else Cost(**record["cost"])
        seen, proposals = (None if record[name] is None else tuple(record[name]) for name in ("seen", "proposals"))
        return cls(record["name"], frames, ids, j, f, cost, seen, proposals)


def score(clip: Clip, masks: Masks) -> ClipScore:
    """J and F of the predicted labels `masks[i]`, (H, W) each, for every scored frame i of the clip.

    Raises:
        EvaluationError: if the clip has too few annotated frames or no object, if the masks are of another size than the truth, lack a
            scored frame, or hold an object that the truth has not.
    """

    def predicted(index: int) -> Any:
        computed = getattr(masks, "computed", None)
        try:
            if computed is None or computed[index]:
                return np.asarray(masks[index])
        except (IndexError, KeyError):
            pass
        raise EvaluationError(f"clip {clip.name!r}: frame {index} is scored but has no predicted mask")

    return score_with(clip, predicted, lambda index: f"clip {clip.name!r}: the predicted mask of frame {index}")


def score_with(clip: Clip, predicted: Callable[[int], Any], describe: Callable[[int], str]) -> ClipScore:
    """`score` for masks that are read when they are asked for; `describe` is what messages call the mask of a frame."""
    objects = scored_objects(clip)
    if clip.unsupervised:
        return _unsupervised(clip, tuple(objects), predicted, describe)
    frames, everything = clip.scored, clip.objects()
    j = np.full((len(objects), len(frames)), nan)
    f = np.full_like(j, nan)
    for n, index in enumerate(frames):
        truth = clip.truth(index)
        guess = _read(clip, index, truth.shape, predicted, describe)
        extra = set(ids_in(guess)) - {0, *everything}
        if extra:
            raise EvaluationError(
                f"{describe(index)} has the objects {sorted(extra)}, which are not in the first true mask (it has {list(everything)}); "
                "leave them out or give them the ids of the truth"
            )
        for k, (object_id, begin) in enumerate(objects.items()):
            if begin < index and clip.annotates(index, object_id):
                alone = clip.truth_of(index, object_id) if isinstance(clip.masks[index], Mapping) else truth == object_id
                pair = alone[None], (guess == object_id)[None]
                j[k, n], f[k, n] = jaccard(*pair)[0], boundary_f(*pair)[0]
    seen = None if clip.seen is None else tuple(clip.seen[k] for k in objects)
    return ClipScore(clip.name, tuple(frames), tuple(objects), j, f, seen=seen)


def unscored(clip: Clip) -> ClipScore:
    """What stands for the score of a clip whose truth is withheld: its objects, and no frame."""
    ids = tuple(clip.objects())
    nothing = np.zeros((len(ids), 0))
    return ClipScore(clip.name, (), ids, nothing, nothing)


def scored_objects(clip: Clip) -> dict[int, int]:
    """Object id -> the frame in which it is given, of the objects that have a scored frame; others begin too late.

    Raises:
        EvaluationError: if the clip has too few annotated frames, or no object that can be scored.
    """
    objects = clip.objects()
    if clip.unsupervised:
        return objects
    if clip.withheld:
        raise EvaluationError(
            f"clip {clip.name!r} has masks only where its objects begin, as test sets have: there is nothing to score against. Write what "
            "its server takes, by vos-zoo evaluate --submission FILE.zip"
        )
    if len(clip.masks) < 3:
        raise EvaluationError(
            f"clip {clip.name!r} has {len(clip.masks)} annotated frames; three are the least, since the first and the last are not scored"
        )
    last = clip.scored[-1]
    if min(objects.values()) >= last:
        raise EvaluationError(f"clip {clip.name!r} has no object with a frame to score: each begins in one of the last two annotated ones")
    return {k: begin for k, begin in objects.items() if begin < last}


def _unsupervised(clip: Clip, object_ids: tuple[int, ...], predicted: Callable[[int], Any], describe: Callable[[int], str]) -> ClipScore:
    """Proposals are matched to objects by J&F over all frames; an object without one scores as if nothing had been predicted."""
    frames = clip.scored
    rows = max(MOST_PROPOSALS, len(object_ids)) + 1
    j, f = (np.zeros((rows, len(object_ids), len(frames))) for _ in "jf")
    most = 0
    for n, index in enumerate(frames):
        truth, void = clip.truth_and_void(index)
        guess = _read(clip, index, truth.shape, predicted, describe)
        here = int(guess.max())
        if here > MOST_PROPOSALS:
            raise EvaluationError(
                f"{describe(index)} has the id {here}; proposals are numbered from 1 to {MOST_PROPOSALS}, the most that are allowed"
            )
        most = max(most, here)
        truths = (truth == np.array(object_ids)[:, None, None]) & ~void
        guesses = (guess == np.arange(1, here + 2)[:, None, None]) & ~void  # the last one is empty, and stands for all beyond
        few = pairs(truths, guesses)
        for of_all, of_few in zip((j, f), few, strict=True):
            of_all[: here + 1, :, n], of_all[here + 1 :, :, n] = of_few, of_few[-1]
    proposals = max(most, len(object_ids))  # fewer than objects: the missing ones are empty, as in the official tool
    j, f = j[:proposals], f[:proposals]
    chosen = assign((j.mean(2) + f.mean(2)) / 2)
    columns = range(len(object_ids))
    return ClipScore(clip.name, tuple(frames), object_ids, j[chosen, columns], f[chosen, columns], proposals=tuple(p + 1 for p in chosen))


def _read(
    clip: Clip, index: int, shape: tuple[int, ...], predicted: Callable[[int], Any], describe: Callable[[int], str]
) -> NDArray[np.int32]:
    guess = clip.read(predicted(index), name=describe(index))
    if guess.shape != shape:
        raise EvaluationError(f"{describe(index)} has (height, width) {guess.shape}, the truth {shape}; save results at the truth's size")
    return guess
