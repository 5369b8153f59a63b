"""Scores of a model, or of anybody's saved masks, on a data set, by the rules of DAVIS (see `clip` for which frames count).

Figures of a data set are means over objects, not over clips.

    scores = evaluate(vos_zoo.load("crvos"), load_dataset("davis2016:/data/DAVIS"))
    print(scores.table())
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from vos_zoo.errors import EvaluationError, VosZooWarning
from vos_zoo.evaluation.clicks import begun
from vos_zoo.evaluation.clip import Clip, ids_in
from vos_zoo.evaluation.saved import Saved
from vos_zoo.evaluation.scores import Scores
from vos_zoo.evaluation.scoring import ClipScore, Cost, score, scored_objects, unscored
from vos_zoo.system.machine import device_name, device_peak, load_average, peak_memory
from vos_zoo.system.workers import Work


class Propagates(Protocol):
    """What is needed of a model: a Segmenter has it."""

    @property
    def propagate(self) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class Propagating:
    """A job: propagate the true masks that a clip gives, save the result, score it."""

    load: Callable[[], Propagates]
    options: Mapping[str, Any] = field(default_factory=dict)  # for propagate
    save: Path | None = None  # gets <clip>/<frame>.png
    jobs: int = 1  # processes that do this at once
    begun_by: str | None = None  # what makes the given masks of a simulated user, see `clicks.begun`; None: they are the true ones

    def begin(self) -> Work[Clip, ClipScore]:
        segmenter = self.load()
        return lambda clip, report: self.one(segmenter, clip, report)

    def one(self, segmenter: Propagates, clip: Clip, report: Callable[[int], None] | None = None) -> ClipScore:
        options = dict(self.options)
        if report is not None:
            options["progress"] = lambda done, total: report(done)
        given = clip.given()
        if self.begun_by is not None:
            given = begun(self.begun_by, clip.video, given, getattr(segmenter, "device", "auto"))
        begin = time.perf_counter()
        if list(given) == [0] and clip.starts is None:
            masks = segmenter.propagate(clip.video, given[0], **options)
        else:
            masks = segmenter.propagate(clip.video, **({"masks": given} if given else {}), **options)
        seconds = time.perf_counter() - begin
        if self.save is not None:
            masks.save(self.save / clip.name, overwrite=True)
        on_gpu = device_peak(getattr(segmenter, "device", None))
        cost = Cost(seconds, int(masks.computed.sum()), peak_memory(), on_gpu, self._conditions(segmenter), load_average())
        return replace(unscored(clip) if clip.withheld else score(clip, masks), cost=cost)

    def _conditions(self, segmenter: object) -> str:
        device = getattr(segmenter, "device", None)
        parts = [device_name(device) if device else "", str(getattr(segmenter, "dtype", "")).removeprefix("torch.")]
        if "torch" in sys.modules:
            threads = sys.modules["torch"].get_num_threads()
            parts.append(f"{threads} thread{'s' * (threads > 1)}")
        if self.jobs > 1:
            parts.append(f"{self.jobs} videos at once")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Scoring:
    """A job: score masks that lie in a folder."""

    saved: Saved

    def begin(self) -> Work[Clip, ClipScore]:
        return lambda clip, report: self.saved.score(clip)


def evaluate(
    segmenter: Propagates,
    clips: Iterable[Clip],
    *,
    progress: Callable[[ClipScore, int, int], object] | None = None,
    save: str | Path | None = None,
    legacy_decay: bool = False,
    **propagate_options: object,
) -> Scores:
    """Propagates what is given of every clip and scores the result.

    Ctrl-C ends it early: the scores are then those of the clips done, `interrupted`. For a run that can be resumed, several videos at
    once and a report see `run.run`, which is behind `vos-zoo evaluate --out`.

    Args: progress: called after every clip with its score, the number of clips done and that of all, in place
            of the bar that propagate draws for every clip;
        save: folder that gets <clip>/<frame>.png, and scores.json and scores.csv anew after every clip;
        legacy_decay: see `statistics`;
        propagate_options: handed to `segmenter.propagate`.
    Raises: EvaluationError if a clip can't be scored (all are checked first); whatever propagate raises.
    """
    todo = checked(clips, segmenter)
    if save is not None:
        taken = [str(Path(save) / clip.name) for clip in todo if (Path(save) / clip.name).exists()]
        if taken:
            raise EvaluationError(f"{taken[0]} is there already ({len(taken)} of {len(todo)} clips): choose another folder, or delete it")
    job = Propagating(lambda: segmenter, propagate_options, None if save is None else Path(save))
    scores = Scores(legacy_decay=legacy_decay)
    try:
        for clip in todo:
            scores.clips.append(job.one(segmenter, clip, None if progress is None else _nothing))
            if save is not None:
                _write(scores, Path(save))
            if progress is not None:
                progress(scores.clips[-1], len(scores.clips), len(todo))
    except KeyboardInterrupt:
        scores.interrupted = True
        if save is not None:
            _write(scores, Path(save))
    return scores


def evaluate_results(folder: str | Path, clips: Iterable[Clip], *, legacy_decay: bool = False) -> Scores:
    """Scores anybody's masks: `folder`/<clip>/<frame>.png, with the names of the frames and the true ids.

    Raises:
        EvaluationError: names every file which is missing, of another size than the truth, no map of ids, or holds an object that the
            truth has not; nothing is scored then.
    """
    saved = Saved(folder)
    todo = checked(clips)
    saved.check(todo)
    return Scores([saved.score(clip) for clip in todo], legacy_decay=legacy_decay)


def checked(clips: Iterable[Clip], segmenter: object = None, *, withheld: bool = False) -> list[Clip]:
    """The clips, if all of them can be scored, and by this segmenter. Raises EvaluationError, or warns of what the figures leave out.

    withheld: take clips without truth too, which are propagated and not scored.
    """
    todo = list(clips)
    if not todo:
        raise EvaluationError("there are no clips to score")
    names = [clip.name for clip in todo]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"two clips are called {name!r}; their results would be mixed: rename one")
    model = getattr(segmenter, "model", None)
    if model is not None and todo[0].unsupervised and not getattr(model, "finds_objects", False):
        raise EvaluationError(
            "this data set is unsupervised, so the model gets no mask and has to find the objects itself, which this one does not: take a "
            "zero-shot model (rvos-zeroshot), or the layout davis2017"
        )
    for clip in todo:
        clip.given()
        if withheld and clip.withheld:
            continue
        scored, objects = scored_objects(clip), clip.objects()
        if late := [k for k in objects if k not in scored]:
            _warn(f"clip {clip.name!r}: objects {late} begin too late to be scored, so the means are over the others")
        if clip.numbered and (gaps := sorted(set(objects) - set(ids_in(clip.truth(clip.first))))):
            _warn(f"clip {clip.name!r}: its first true mask skips the ids {gaps}; they are scored as objects, as the official tool does")
    return todo


def _warn(what: str) -> None:
    warnings.warn(what, VosZooWarning, stacklevel=3)


def _nothing(done: int) -> None:
    pass


def _write(scores: Scores, folder: Path) -> None:
    scores.to_json(folder / "scores.json")
    scores.to_csv(folder / "scores.csv")
