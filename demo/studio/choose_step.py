"""The first step of the page: a clip of the visitor's own, or an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from studio import cards, theme
from studio.desk import Desk
from studio.events import QUICK, READING, Update, number
from studio.examples import EXAMPLES, FOLDER
from studio.visit import Visit

if TYPE_CHECKING:
    from studio.mark_step import MarkStep
    from studio.watch_step import WatchStep

KEPT = """() => {
  try { return [JSON.parse(sessionStorage.getItem("vos-zoo-visit")), null]; } catch { return [null, null]; } }"""
FOLD = f"(status) => {{ if ((status || '').includes('vz-done')) ({theme.fold(True, finished=True)})(); }}"
VIDEOS = ["video", ".mkv", ".ts", ".webm", ".gif", ".avi", ".m4v"]


class ChooseStep:
    """Its components are made where it is constructed; `connect` binds their events."""

    def __init__(self, desk: Desk):
        self.desk = desk
        with gr.Column(elem_id="vz-start") as self.column:
            with gr.Row(elem_classes="vz-choose"):
                with gr.Column(scale=3, min_width=280):
                    self.video = gr.File(label="Your clip", file_types=VIDEOS, elem_id="vz-upload", height=220)
                    self.kept = gr.JSON(visible=False)  # what the painter keeps in the browser, in case that the page is loaded again
                    cards.piece(f'<p class="vz-quiet">{desk.limits.words()}</p>')
                with gr.Column(scale=2, min_width=280):
                    cards.piece('<h2 class="vz-label">Or an example</h2>')
                    self.shelf = cards.shelf([(each.title, each.words, cards.picture(FOLDER / each.picture)) for each in EXAMPLES])
            cards.piece(cards.STEPS)

    def connect(self, page: gr.Blocks, visit: gr.State, mark: MarkStep, watch: WatchStep) -> None:
        """Binds the events. What they change lies in this step, in the next one and in the last one."""
        self._visit, self._mark, self._watch = visit, mark, watch
        opened = [visit, self.column, *mark.opened, *watch.opened]
        uploaded = self.video.upload(self.on_upload, [self.video, mark.model, mark.compare_with, visit], opened, **READING)
        uploaded.failure(watch.on_failure, [visit], watch.failed, **QUICK)
        self.shelf.pick(self.on_pick, [mark.model, mark.compare_with, visit], opened, **READING)

        returned = page.load(self.on_return, [self.kept, visit], [*opened, *mark.chosen], js=KEPT, **QUICK)
        returned.then(None, [watch.status], None, js=FOLD, api_visibility="private")
        mark.other_clip.click(self.on_other_clip, [visit], [*opened, self.video], **QUICK)

    def on_upload(self, path: str | None, model: str, other: str | None, visit: Visit) -> Update:
        return self._opened(self.desk.open(path, visit), model, other)

    def on_pick(self, model: str, other: str | None, visit: Visit, event: gr.EventData) -> Update:
        example = EXAMPLES[number(event, "index") % len(EXAMPLES)]
        mask = None if example.first_mask is None else str(FOLDER / example.first_mask)
        return self._opened(self.desk.pick(str(FOLDER / example.clip), mask, visit), model, other)

    def on_return(self, kept: Any, visit: Visit) -> Update:
        """The page was loaded, perhaps again: then it shows what it showed before."""
        before = self.desk.come_back(kept)
        if before is None:
            return {self._visit: gr.skip()}
        model, other = before.model or self.desk.choices.default, before.compared_with
        note = "The run ended when the page was loaded again. Start it once more." if before.busy else ""
        before.asked = False
        return {**self._opened(before, model, other, note), **self._mark.choices_of(before)}

    def on_other_clip(self, visit: Visit) -> Update:
        visit.leave()
        return {**self._opened(visit, self.desk.choices.default, None), self.video: None}

    def _opened(self, visit: Visit, model: str, other: str | None, note: str = "") -> Update:
        """The page once a clip was chosen, or left."""
        return {
            self._visit: visit,
            self.column: gr.Column(visible=visit.clip is None),
            **self._mark.shown(visit, model, other, note),
            **self._watch.shown(visit),
        }
