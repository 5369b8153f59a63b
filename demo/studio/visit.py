"""What one visitor has on the page."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import vos_zoo
from studio.clips import Clip, Scrubber
from studio.drawing import PAINTABLE, as_uri, fitted, shrink, shrink_labels
from studio.limits import Limits
from studio.looks import USUAL
from studio.marks import Drawing, Mark, encode_runs
from studio.painter import show
from studio.pointing import Answers
from studio.results import Part


class Visit:
    """Lives in the session's state, and goes with it. No other session reaches it but one that shows its key."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home  # the folder for folders of visits
        self.key = ""  # by which a page that is loaded again finds it; none without a clip
        self.model, self.compared_with, self.backwards = "", "", True  # chosen last; "": nothing was chosen
        self.scrubber: Scrubber | None = None
        self.marks: dict[int, Mark] = {}
        self.result: Part | None = None  # of the last run, for corrections
        self.looks = USUAL  # of the objects of a result
        self.frame = 0  # that the painter shows
        self.draws = True  # False for models that find the objects themselves
        self.asked = False  # the button was pressed, and the run has not begun yet
        self.error = ""  # of the last run
        self.finished: Any = None  # what the last run brought
        self.extras: list[dict[str, Any]] = []  # files that were made of the result when they were asked for
        self._serial = 0
        self._fresh = True  # the painter has not shown this clip yet
        self._pointer: tuple[int, tuple[int, int], vos_zoo.Pointer] | None = None  # frame, its size, what encoded it
        self._folder: Path | None = None
        self._runs, self._left = 0, False  # runs that are being worked on, and whether the visitor has gone meanwhile
        self._sessions = 1  # that have it: one more each time that the page is loaded again

    def __deepcopy__(self, memo: Any) -> Visit:
        return Visit(self._home)  # every session begins with nothing

    @property
    def clip(self) -> Clip | None:
        return None if self.scrubber is None else self.scrubber.clip

    @property
    def folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="visit-", dir=self._home))
        return self._folder

    @property
    def cancel(self) -> Path:
        """A file that says, once it is there, that the run should stop; a file, since a run may be in another process."""
        return self.folder / "cancel"

    def tidy(self) -> None:
        """Removes the files of the last run."""
        if self.finished is not None:
            shutil.rmtree(self.finished.folder, ignore_errors=True)
            self.finished = None

    def extras_folder(self) -> Path:
        """For files that are made of the last result when they are asked for."""
        folder = self.folder / "extras"
        folder.mkdir(exist_ok=True)
        return folder

    def drop_extras(self) -> None:
        self.extras = []
        if self._folder is not None:
            shutil.rmtree(self._folder / "extras", ignore_errors=True)

    def begin(self, clip: Clip) -> None:
        self.leave()
        self.scrubber, self._fresh = Scrubber(clip), True

    def leave(self) -> None:
        """No clip, as at the start."""
        if self.scrubber is not None:
            self.scrubber.close()
        self.scrubber, self.marks, self.result, self.frame, self._pointer = None, {}, None, 0, None
        self.key, self.looks = "", USUAL
        self.tidy()
        self.drop_extras()

    def take(self, drawing: Drawing | None, limits: Limits) -> str:
        """Keeps what was drawn on the frame that the painter showed. Returns a sentence if it can't."""
        if drawing is None or self.clip is None or drawing.frame != self.frame:
            return ""
        if drawing.frame not in self.marks and len(self.marks) >= limits.marked:
            return f"{limits.marked} frames are marked, which is all that this page takes: remove one first."
        mark = Mark(self.marks.get(drawing.frame, Mark()).file, drawing)
        if mark.objects or mark.gone:
            self.marks[drawing.frame] = mark
        else:
            self.marks.pop(drawing.frame, None)
        return ""

    def painter(self, limits: Limits, note: str = "", points: bool = True, correct: bool = False) -> dict[str, Any]:
        """What the painter shows of the frame that the visitor is at. correct: what is drawn starts from the result."""
        assert self.scrubber is not None
        self.frame, frame = self.scrubber.frame(self.frame)
        clip, size = self.scrubber.clip, fitted(frame.shape[:2], limits.preview)
        mark = self.marks.get(self.frame, Mark())
        shown = mark.shown(size)
        drawing = mark.drawing
        self._serial += 1
        fresh, self._fresh = self._fresh, False
        return show(
            serial=self._serial,
            frame=self.frame,
            frames=clip.frames,
            fps=clip.fps,
            size=size,
            picture=as_uri(shrink(frame, size), 85),
            runs=encode_runs(shown),
            loaded=sorted(drawing.loaded if drawing else set(np.unique(shown).tolist()) - {0}),
            touched=sorted(drawing.touched if drawing else ()),
            result=self._result_at(self.frame, size),
            marks=[{"frame": index, "objects": each.objects, "gone": each.gone} for index, each in sorted(self.marks.items())],
            note=note,
            draws=self.draws,
            points=points,
            fresh=fresh,
            correct=correct,
            key=self.key,
            objects=[{"name": self.looks.name(k), "colour": self.looks.colour(k)} for k in range(1, PAINTABLE + 1)],
        )

    def pointer(self, answers: Answers, limits: Limits) -> vos_zoo.Pointer:
        """The painter's picture, encoded once for all clicks on it."""
        assert self.scrubber is not None
        self.frame, frame = self.scrubber.frame(self.frame)
        size = fitted(frame.shape[:2], limits.preview)
        if self._pointer is None or self._pointer[:2] != (self.frame, size):
            self._pointer = self.frame, size, answers.look(np.ascontiguousarray(shrink(frame, size)))
        return self._pointer[2]

    @property
    def busy(self) -> bool:
        """Whether a run was asked for that has not ended."""
        return self.asked or self._runs > 0

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While a run is worked on: a visit that ends meanwhile is closed after it."""
        self._runs += 1
        try:
            yield
        finally:
            self._runs -= 1
            if self._left and not self._runs:
                self._end()

    def join(self) -> None:
        """One more session has it: the page was loaded again."""
        self._sessions += 1

    def close(self) -> None:
        """A session that has it has ended. With the last one it ends too."""
        self._sessions -= 1
        if self._sessions < 1:
            self._end()

    def _end(self) -> None:
        if self._runs:
            self._left = True
            return
        self.leave()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self.finished = None

    def _result_at(self, frame: int, size: tuple[int, int]) -> list[int] | None:
        if self.result is None or not 0 <= frame - self.result.begin < len(self.result.masks):
            return None
        small = shrink_labels(self.result.masks[frame - self.result.begin], size)
        return encode_runs(np.where(small <= PAINTABLE, small, 0).astype(np.uint8))
