"""The third step of the page: the run, from the button to what the visitor watches and takes away."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio import cards, theme
from studio.desk import Desk, Finished
from studio.endpoint import Endpoint
from studio.events import QUICK, Update
from studio.extras import FORMS, PICTURE
from studio.mark_step import MarkStep
from studio.player import play, player
from studio.summary import chart
from studio.visit import Visit


class WatchStep:
    """Its components are made where it is constructed; `connect` binds their events."""

    def __init__(self, desk: Desk, mark: MarkStep):
        self.desk, self.mark = desk, mark
        self.clock = gr.Timer(2, active=False)  # while a visitor waits for the machine
        with gr.Column(elem_id="vz-result"):
            self.status = cards.piece(label="In words, HTML", elem_id="vz-status")
            self.cancel = gr.Button("Stop, keep what is done", variant="stop", visible=False, elem_id="vz-cancel")
            with gr.Column(visible=False) as self.results:
                self.player = player(elem_id="vz-player")
                with gr.Row(elem_classes="vz-taken"):
                    with gr.Column(scale=3, min_width=280):
                        cards.piece('<h2 class="vz-label">Over time</h2>')
                        self.charts = cards.piece("")
                        self.cutout = cards.moving_cutout()
                    with gr.Column(scale=2, min_width=280):
                        cards.piece('<h2 class="vz-label">Take away</h2>')
                        self.files = cards.file_list(elem_id="vz-files")
                        self._make_extras()
        self.filled = [self.results, self.player, self.charts, self.files, self.extras, self.cutout]  # what `on_finish` changes
        self.opened = [self.status, self.cancel, *self.filled]  # what `shown` changes
        self.failed = [self.status, mark.painter, self.cancel]  # what `on_failure` changes

    def _make_extras(self) -> None:
        with gr.Accordion("More: transparent video, other backgrounds", open=False):
            self.form = gr.Dropdown([(words, form) for form, words in FORMS.items()], value="webm", label="What", elem_id="vz-form")
            self.picture = gr.File(label="Picture for the background", file_types=["image"], height=110, visible=False)
            self.make = gr.Button("Make it", size="sm", elem_id="vz-make")
        self.extras = cards.file_list(elem_id="vz-extras")

    def connect(self, visit: gr.State, endpoint: Endpoint) -> None:
        """Binds the events. The run itself is the endpoint's, the same that programs call."""
        mark = self.mark
        corrected = self.player.correct(mark.on_correct, [mark.painter, visit], [mark.painter], **QUICK)
        corrected.then(None, js=theme.fold(False), api_visibility="private").then(
            None, js=theme.scroll_to("vz-mark"), api_visibility="private"
        )
        self.player.look(self.on_look, [visit], [self.status, self.charts], **QUICK)
        self.cancel.click(self.desk.stop, [visit], [self.status], **QUICK)
        asked = mark.painter.follow(
            self.on_run,
            [mark.model, mark.compare_with, mark.painter, visit],
            [visit, self.status, self.results, self.cancel, self.clock],
            **QUICK,
        )
        self.clock.tick(self.on_tick, [visit], [self.status, self.clock], **QUICK)
        asked.success(None, js=theme.fold(True), api_visibility="private")
        started = endpoint.connect(asked.success)
        finished = started.success(self.on_finish, [visit], [self.cancel, *self.filled], **QUICK)
        finished.then(None, js=theme.fold(True, finished=True), api_visibility="private")
        self.form.change(lambda form: gr.File(visible=form == PICTURE), [self.form], [self.picture], **QUICK)
        self.make.click(
            self.desk.make,
            [self.form, self.picture, visit],
            [self.extras],
            concurrency_limit=1,
            concurrency_id="model",
            api_visibility="private",
        )
        for failed in (asked, started):
            told = failed.failure(self.on_failure, [visit], self.failed, **QUICK)
            told.then(None, js=theme.fold(False), api_visibility="private").then(
                None, js=theme.scroll_to("vz-mark"), api_visibility="private"
            )

    def shown(self, visit: Visit) -> Update:
        """The step with the visitor's last result, if there is one and its files are still there."""
        finished: Finished | None = visit.finished
        if finished is None or not finished.files.are_there():
            return {self.status: "", self.results: gr.Column(visible=False)}
        return {**self.on_finish(visit), self.status: self._done(finished, visit)}

    def on_run(self, model: str, other: str | None, painted: Any, visit: Visit) -> tuple[Any, ...]:
        card = self.desk.ask(model, other, painted, visit)
        return visit, card, gr.Column(visible=False), gr.Button(visible=True), gr.Timer(active=True)

    def on_tick(self, visit: Visit) -> tuple[Any, Any]:
        card = self.desk.turn(visit)
        return (gr.skip(), gr.Timer(active=False)) if card is None else (card, gr.skip())

    def on_finish(self, visit: Visit) -> Update:
        stopped = {self.cancel: gr.Button(visible=False)}
        if (finished := visit.finished) is None:
            return stopped
        return {
            **stopped,
            self.results: gr.Column(visible=True),
            self.player: play(finished.clip, finished.parts, finished.files, visit.looks, finished.colours),
            self.charts: self._charts(finished, visit),
            self.extras: visit.extras,
            self.files: cards.downloads(finished.files, finished.parts),
            self.cutout: finished.files.cutout and cards.file(finished.files.cutout),
        }

    def on_look(self, visit: Visit, event: gr.EventData) -> Update:
        self.desk.look(event._data, visit)
        if (finished := visit.finished) is None:
            return {self.status: gr.skip()}
        return {self.status: self._done(finished, visit), self.charts: self._charts(finished, visit)}

    def _charts(self, finished: Finished, visit: Visit) -> str:
        return "".join(chart(finished.clip, part, visit.looks) for part in finished.parts)

    def _done(self, finished: Finished, visit: Visit) -> str:
        return cards.done(finished.told, *self.desk.notes(finished, visit.looks))

    def on_failure(self, visit: Visit) -> tuple[Any, ...]:
        note = gr.skip() if visit.clip is None else {"mode": "note", "note": visit.error}
        return cards.failed(visit.error), note, gr.Button(visible=False)
