"""What happens when something on the page is pressed, or the endpoint is called: between the visit, the models and the files."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

import vos_zoo
from studio import cards
from studio.choices import Choices
from studio.clips import Clip, open_clip
from studio.extras import FORMS, make_extra
from studio.follow import Learning, Outcome, Step, follow, on_gpu
from studio.limits import Limits
from studio.line import Line
from studio.looks import USUAL, Looks
from studio.marks import Drawing, FrameMasks, Given, read_mask_files
from studio.pointing import Answers, Question, refused
from studio.results import Files, Part, write_files
from studio.returns import Returns
from studio.speed import Speed
from studio.summary import lost_in_links, summarise
from studio.visit import Visit

log = logging.getLogger("vos_zoo.demo")


@dataclass
class Finished:
    """All that a run brings."""

    clip: Clip
    parts: list[Part]
    files: Files
    told: dict[str, Any]
    folder: Path  # where the files lie
    colours: Mapping[int, str]  # in which the videos have the objects that have not their usual one


class Desk:
    def __init__(self, choices: Choices, limits: Limits, answers: Answers | None = None):
        self.answers = answers or Answers()
        self.choices, self.limits, self.speed, self.line = choices, limits, Speed(), Line()
        self.returns = Returns(limits.keep)
        self._follow = on_gpu(self._followed)
        self._decoding = threading.Lock()  # what is decoded for visitors outside of the queue is decoded for one at a time

    # A visitor's steps on the page. Each gets the visit and gives back what the page shows; errors become gr.Error.

    def open(self, path: str | None, visit: Visit) -> Visit:
        with understood(visit), self._decoding:
            if not path:
                raise vos_zoo.VideoError("no clip came with this: choose a video file")
            visit.begin(open_clip(path, self.limits))
            self.returns.begin(visit)
        return visit

    def come_back(self, kept: Any) -> Visit | None:
        """The visit that a page had before it was loaded again, with what was drawn last; None if it had none, or its time is over.

        kept: what the painter keeps in the browser, {"key": of the visit, "drawing": what it would have sent next}.
        """
        if not isinstance(kept, dict) or (visit := self.returns.find(kept.get("key"))) is None:
            return None
        visit.join()
        with contextlib.suppress(gr.Error):  # it is what is lost at worst
            self.keep(kept.get("drawing"), visit)
        return visit

    def pick(self, path: str, mask: str | None, visit: Visit) -> Visit:
        self.open(path, visit)
        if mask is not None and visit.clip is not None:
            with understood(visit), self._decoding:
                visit.marks = read_mask_files([mask], visit.clip, 0, self.limits)
        return visit

    def show(self, visit: Visit, note: str = "", correct: bool = False) -> dict[str, Any]:
        with understood(visit), self._decoding:
            if visit.clip is None:
                return {"mode": "empty"}
            return visit.painter(self.limits, note, self.answers.here, correct)

    def go(self, painted: Any, visit: Visit, frame: Any, correct: bool = False) -> dict[str, Any]:
        """Keep what is drawn, and show another frame; correct: its result is what drawing starts from."""
        if visit.clip is None:
            return {"mode": "empty"}
        note = self.keep(painted, visit)
        if isinstance(frame, int):
            visit.frame = min(max(frame, 0), visit.clip.frames - 1)
        return self.show(visit, note, correct)

    def point(self, data: Any, visit: Visit) -> dict[str, Any]:
        """A click or a box: the mask that it makes, or a sentence on why it makes none."""
        with understood(visit):
            try:
                asked = Question.read(data)
            except ValueError as error:
                raise gr.Error(f"{error}: load the page again.", title="That did not work") from error
            if visit.clip is None or asked.frame != visit.frame:
                return refused(asked, "")
            try:
                with self._decoding:
                    pointer = visit.pointer(self.answers, self.limits)
                return self.answers.answer(pointer, asked)
            except (vos_zoo.PromptError, vos_zoo.MaskError) as error:
                return refused(asked, _sentence(str(error)))

    def forget(self, painted: Any, visit: Visit, frame: Any) -> dict[str, Any]:
        note = self.keep(painted, visit) if frame != visit.frame else ""
        visit.marks.pop(frame, None)
        return self.show(visit, note)

    def keep(self, painted: Any, visit: Visit) -> str:
        try:
            return visit.take(Drawing.read(painted), self.limits)
        except ValueError as error:
            raise gr.Error(f"{error}: load the page again.", title="That did not work") from error

    def upload_masks(self, paths: list[str] | None, painted: Any, visit: Visit) -> dict[str, Any]:
        with understood(visit):
            if visit.clip is None or not paths:
                return self.show(visit)
            note = self.keep(painted, visit)
            with self._decoding:
                found = read_mask_files(paths, visit.clip, visit.frame, self.limits)
            visit.marks |= found
            kept = f"Taken over, at full size, for frame {', '.join(map(str, found))}. What you draw replaces the objects you touch."
            return self.show(visit, note or kept)

    def choose(self, model: str, painted: Any, visit: Visit) -> dict[str, Any]:
        with understood(visit):
            note = self.keep(painted, visit)
            self.prepare(model)
            visit.model = model
            visit.draws = not self.choices.finds_objects(model)
            return self.show(visit, note)

    def prepare(self, model: str) -> None:
        """Loads a model and takes its time, if that was not done before."""
        segmenter = self.choices.segmenter(self._checked(model))
        if not self.speed.knows(model):
            self.speed.measure(model, segmenter)

    def compare(self, model: str, other: str | None, visit: Visit) -> str:
        with understood(visit):
            for name in self._names(model, other):
                self.prepare(name)
            visit.compared_with = other or ""
            return self.estimate(model, other, visit)

    def estimate(self, model: str, other: str | None, visit: Visit) -> str:
        if visit.clip is None:
            return ""
        return cards.estimate(self.speed.predict(visit.clip, self._names(model, other)), visit.clip.frames)

    def ask(self, model: str, other: str | None, painted: Any, visit: Visit) -> str:
        """The button was pressed: the run itself comes when it is this visitor's turn."""
        with understood(visit):
            if self.line.serves(id(visit)):
                raise vos_zoo.VosZooError("your run is being worked on already: wait for it, or stop it")
            visit.error = self.keep(painted, visit)
            visit.tidy()
            visit.drop_extras()
            visit.cancel.unlink(missing_ok=True)
            visit.asked = True
            if visit.clip is not None:
                self.returns.refresh(visit)
                self.line.join(id(visit), self.speed.predict(visit.clip, self._names(model, other)))
        return self.turn(visit) or cards.waiting(0, 0)

    def turn(self, visit: Visit) -> str | None:
        """A card on how long it is until this visitor's run; None once it has begun."""
        before = self.line.before(id(visit))
        return None if before is None else cards.waiting(*before)

    def stop(self, visit: Visit) -> str:
        visit.cancel.touch()
        return cards.stopping()

    def run(
        self,
        video: str | None,
        mask: str | None,
        frame: int | None,
        model: str | None,
        other: str | None,
        backwards: bool | None,
        visit: Visit,
    ) -> Iterator[str | Finished]:
        """Cards to show on the way, then Finished. Of what was marked on the page if its button was pressed, else of the arguments."""
        asked, visit.asked = visit.asked, False
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=visit.folder))
        with self.line.turn_of(id(visit)), understood(visit, toast=False), contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            begun = time.perf_counter()
            names = self._names(model, other)
            clip, marks = self._wanted(names, video, mask, frame, visit if asked else None)
            predicted = self.speed.predict(clip, names)
            self.line.expect(predicted)
            uri: list[str] = []
            outcome: Outcome | None = None
            started = time.perf_counter()
            looks = visit.looks if asked else USUAL
            for step in self._follow(names, clip, marks, backwards is not False, str(visit.cancel) if asked else "", looks.colours):
                if isinstance(step, Outcome):
                    outcome = step
                elif isinstance(step, Learning):
                    yield cards.learning()
                elif step.picture is not None:
                    yield cards.busy(step.done, step.total, _left(step, started), step.picture, uri)
            assert outcome is not None
            clip = outcome.clip
            yield cards.writing(uri)
            parts = [Part.of(self.choices.title(name), masks) for name, masks in zip(names, outcome.masks, strict=True)]
            files = write_files(folder, clip, parts, self.limits, looks)
            seconds = time.perf_counter() - begun
            told = summarise(clip, parts, finished=outcome.finished, seconds=seconds, predicted=predicted)
            finished = Finished(clip, parts, files, told, folder, looks.colours)
            if outcome.finished:
                self.speed.learn(clip, names, len(parts[0].masks), seconds)
            stack.pop_all()  # the files stay for those who take them, until the next run or until their time is over
            if asked:
                visit.result, visit.finished, visit.backwards = parts[0], finished, backwards is not False
            yield finished

    def notes(self, finished: Finished, looks: Looks = USUAL) -> tuple[list[str], list[str]]:
        """Where objects were lost, as HTML, and what else is worth a sentence."""
        clip, notes = finished.clip, []
        if finished.files.cutouts is None and finished.told["objects"]:
            notes.append("For a clip of this size cut-outs are given as the small moving picture only; the masks have full size.")
        if clip.cut:
            notes.append(f"The clip goes on after frame {clip.frames - 1}; this page uses the first {clip.frames} frames.")
        return lost_in_links(clip, finished.parts[0], looks), notes

    def look(self, data: Any, visit: Visit) -> None:
        """Other names or colours for the objects of the result, or others of them shown."""
        try:
            visit.looks = Looks.read(data)
        except ValueError as error:
            raise gr.Error(f"{error}: load the page again.", title="That did not work") from error

    def make(self, form: str, picture: str | None, visit: Visit) -> list[dict[str, Any]]:
        """One more file of the last result, beside those that were made before."""
        with understood(visit):
            if visit.result is None or visit.clip is None:
                raise vos_zoo.MaskError("there is no result yet: follow something first")
            path = make_extra(visit.extras_folder(), visit.clip, visit.result, form, picture, visit.looks)
            visit.extras = [row for row in visit.extras if row["file"]["path"] != str(path)] + [cards.extra(FORMS[form], path)]
        return visit.extras

    def warm_up(self) -> None:
        """Loads what points and the first model, and takes its time, so that the first visitor need not wait for either."""
        try:
            self.answers.warm_up()
            self.prepare(self.choices.default)
        except Exception:
            log.exception("the models could not be loaded ahead; the first click or run will say why")

    def _followed(
        self, names: list[str], clip: Clip, marks: Mapping[int, FrameMasks], backwards: bool, cancel: str, colours: Mapping[int, str]
    ) -> Iterator[Step | Learning | Outcome]:
        segmenters = [self.choices.segmenter(name) for name in names]
        yield from follow(segmenters, clip, marks, backwards=backwards, cancel=cancel, colours=colours)

    def _wanted(
        self, names: list[str], video: str | None, mask: str | None, frame: int | None, visit: Visit | None
    ) -> tuple[Clip, Mapping[int, FrameMasks]]:
        """The clip and the masks of its marked frames: of the page, or of a program's arguments."""
        finds = [self.choices.finds_objects(name) for name in names]
        if len(set(finds)) > 1:
            raise vos_zoo.MaskError(
                "one of these models finds the objects by itself and the other follows marked ones: compare two of a kind"
            )
        if visit is not None and visit.clip is not None:
            if visit.error:
                raise vos_zoo.MaskError(visit.error)
            clip, marks = visit.clip, Given(visit.marks, visit.clip)
        else:
            if not video:
                raise vos_zoo.VideoError("there is no clip yet: choose a video file")
            clip = open_clip(video, self.limits)
            marks = Given(read_mask_files([mask], clip, int(frame or 0), self.limits, exact=True) if mask else {}, clip)
        if finds[0]:
            return clip, {}
        if not marks:
            raise vos_zoo.MaskError("nothing is marked yet: click on an object in a frame, or circle it, or give its mask as a file")
        if len(marks.object_ids) > self.limits.objects:
            raise vos_zoo.MaskError(
                f"{len(marks.object_ids)} objects are marked; this page follows up to {self.limits.objects}: mark fewer"
            )
        self._check_budget(clip, len(marks.object_ids))
        return clip, marks

    def _check_budget(self, clip: Clip, objects: int) -> None:
        """VosZooError if the run would keep the machine from others for too long."""
        most = self.limits.work / (clip.megapixels * objects)
        if clip.frames > most:
            raise vos_zoo.VosZooError(
                f"{objects} object{'s' * (objects != 1)} in {clip.frames} frames of {clip.width} x {clip.height} are more than this page "
                f"works on in one run: mark fewer objects, save the clip smaller, or cut it to {max(1, int(most))} frames"
            )

    def _names(self, model: str | None, other: str | None) -> list[str]:
        first = self._checked(model or self.choices.default)
        return [first] if not other or other == first else [first, self._checked(other)]

    def _checked(self, model: str) -> str:
        if model not in self.choices.names:
            raise vos_zoo.ModelNotFoundError(f"there is no model {str(model)[:60]!r} here: choose one of {', '.join(self.choices.names)}")
        return model


@contextlib.contextmanager
def understood(visit: Visit, *, toast: bool = True) -> Iterator[None]:
    """Whatever goes wrong becomes a sentence for a visitor; what is our own fault also goes to the log. toast: not only in a card."""
    try:
        yield
    except gr.Error as error:
        visit.error = str(error.message)
        raise
    except vos_zoo.VosZooError as error:
        visit.error = _sentence(str(error))
        raise gr.Error(visit.error, title="That did not work", visible=toast, print_exception=False) from error
    except Exception as error:
        log.exception("a visitor's request failed")
        visit.error = "Something went wrong on our side. Try again; if it stays so, try another clip."
        raise gr.Error(visit.error, title="That did not work", visible=toast, print_exception=False) from error


def _sentence(message: str) -> str:
    message = message.strip()
    if "." not in message.split(" ")[0]:  # a file's name stays as it is
        message = message[:1].upper() + message[1:]
    return message + ("" if message.endswith((".", "?", "!")) else ".")


def _left(step: Step, started: float) -> float | None:
    """Seconds, after a few frames."""
    if step.done < 3:
        return None
    return (time.perf_counter() - started) / step.done * (step.total - step.done)
