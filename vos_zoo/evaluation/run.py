"""A run over a data set that can be interrupted, killed and gone on with."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.entry import Entry
from vos_zoo.evaluation.scores import Scores
from vos_zoo.evaluation.scoring import ClipScore
from vos_zoo.system.lock import writing_alone
from vos_zoo.system.workers import Job, work_through


class Watch:
    """Is told how a run goes on; does nothing about it."""

    def begin(self, label: str, clips: int, finished: int) -> None:
        """label: of the entrant; finished: clips that an earlier run did."""

    def frame(self, clip: str, done: int) -> None:
        """done: frames of that clip."""

    def clip(self, score: ClipScore, done: int, clips: int) -> None:
        """done: clips finished, this one included."""

    def end(self) -> None:
        """Also after an error."""

    def tell(self, what: str) -> None:
        """Something worth a line."""


def run(
    job: Job[Clip, ClipScore],
    clips: Sequence[Clip],
    *,
    label: str = "",
    entry: Entry | None = None,
    jobs: int = 1,
    watch: Watch | None = None,
    legacy_decay: bool = False,
    subset: str = "val",
) -> Scores:
    """Does `job` with every clip that is not finished yet.

    entry: where finished clips are kept, one by one as they get done; None: nowhere. jobs: processes at once. Ctrl-C ends it early: the
    scores are then those of the finished clips, `interrupted`. Raises what a clip raised; those finished before are kept; SaveError if
    another run is writing to the entrant's folder.
    """
    with contextlib.nullcontext() if entry is None else writing_alone(entry.folder):
        return _run(job, clips, label, entry, jobs, watch or Watch(), legacy_decay, subset)


def _run(
    job: Job[Clip, ClipScore],
    clips: Sequence[Clip],
    label: str,
    entry: Entry | None,
    jobs: int,
    watch: Watch,
    legacy_decay: bool,
    subset: str,
) -> Scores:
    found = entry.finished(clips, watch.tell) if entry else {}
    todo = [clip for clip in clips if clip.name not in found]
    by_name = {clip.name: clip for clip in clips}
    watch.begin(label, len(clips), len(found))
    interrupted = False
    try:
        for score in work_through([job] * jobs, todo, watch.frame):
            if entry:
                entry.keep(by_name[score.name], score)
            found[score.name] = score
            watch.clip(score, len(found), len(clips))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        watch.end()
    scores = Scores([found[clip.name] for clip in clips if clip.name in found], interrupted, legacy_decay)
    if entry and any(score.frames for score in scores.clips):
        entry.write(scores, subset)
    return scores
