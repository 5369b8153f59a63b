"""The second step of the page: objects are marked on frames of the clip, and a model is chosen."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio import cards, theme
from studio.desk import Desk
from studio.events import QUICK, Update, number
from studio.painter import painter
from studio.visit import Visit

PLAIN_CHOICES = 4  # that page.css leaves to see at first
MORE = """() => { for (const name of [".vz-models", ".vz-more"]) document.querySelector(name).classList.toggle("vz-few"); }"""
MASKS = [".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".npy", ".zip"]


class MarkStep:
    """Its components are made where it is constructed; `connect` binds their events."""

    def __init__(self, desk: Desk):
        self.desk = desk
        with gr.Column(visible=False, elem_id="vz-mark") as self.column:
            with gr.Row(elem_classes="vz-clip"):
                self.facts = cards.piece("")
                self.unfold = gr.Button("Change the marks", size="sm", elem_classes="vz-unfold", scale=0, min_width=140)
                self.other_clip = gr.Button("Another clip", size="sm", elem_classes="vz-plain", scale=0, min_width=104)
            self.painter = painter(elem_id="vz-painter")
            self._make_upload()
            with gr.Row(elem_classes="vz-run"):
                with gr.Column(scale=3, min_width=280):
                    self._make_models()
                with gr.Column(scale=2, min_width=280):
                    self.backwards = gr.Checkbox(True, label="Also follow back to the beginning", info="Each object from its first mark.")
                    self.estimate = cards.piece("")
        self.opened = [self.column, self.facts, self.painter, self.estimate]  # what `shown` changes
        self.chosen = [self.model, self.compare_with, self.backwards]  # what `choices_of` changes

    def _make_upload(self) -> None:
        with gr.Accordion("Upload masks instead of drawing", open=False):
            cards.piece(
                '<p class="vz-quiet">An indexed PNG (each object one number, as in DAVIS) or a black and white one goes to the frame '
                "shown above; several, also in a zip, go to the frames in their names, as in 00030.png.</p>"
            )
            self.masks = gr.File(label="Masks", file_types=MASKS, file_count="multiple", height=120)

    def _make_models(self) -> None:
        choices = self.desk.choices
        offered = [(choice.label, choice.name) for choice in choices.offered]
        few = ["vz-few"] if choices.plain == PLAIN_CHOICES else []
        self.model = gr.Radio(offered, value=choices.default, label="How to follow them", elem_classes=["vz-models", *few])
        if few and len(offered) > PLAIN_CHOICES:
            more = gr.Button("More models", size="sm", elem_classes="vz-plain vz-more", scale=0)
            more.click(None, js=MORE, api_visibility="private")
        self.compare_with = gr.Dropdown(
            [("Nothing", ""), *((choice.title, choice.name) for choice in choices.offered)],
            value="",
            label="Compare with",
            info="Both follow the same marks; you see them side by side.",
            visible=len(offered) > 1,
            elem_classes="vz-compare",
        )
        if choices.missing:
            cards.piece(cards.missing(choices.missing))

    def connect(self, visit: gr.State) -> None:
        drawn = [self.painter, visit]
        self.unfold.click(None, js=theme.fold(False), api_visibility="private")
        self.painter.visit(self.on_visit, drawn, [self.painter], **QUICK)
        self.painter.point(self.on_point, [visit], [self.painter], **QUICK)
        self.painter.forget(self.on_forget, drawn, [self.painter], **QUICK)
        uploaded = self.masks.upload(self.on_masks, [self.masks, *drawn], [self.painter, self.masks], **QUICK)
        uploaded.failure(self.on_bad_masks, [visit], [self.painter, self.masks], **QUICK)
        self.model.change(self.on_model, [self.model, self.compare_with, *drawn], [self.painter, self.estimate], **QUICK)
        self.compare_with.change(self.desk.compare, [self.model, self.compare_with, visit], [self.estimate], **QUICK)

    def shown(self, visit: Visit, model: str, other: str | None, note: str = "") -> Update:
        """The step with the visitor's clip in it; hidden while there is none. note: a sentence below the picture."""
        clip = visit.clip
        return {
            self.column: gr.Column(visible=clip is not None),
            self.facts: "" if clip is None else cards.facts(clip),
            self.painter: self.desk.show(visit, note),
            self.estimate: self.desk.estimate(model, other, visit),
        }

    def choices_of(self, visit: Visit) -> Update:
        """What this visitor had chosen before the page was loaded again."""
        model = visit.model or self.desk.choices.default
        return {self.model: model, self.compare_with: visit.compared_with, self.backwards: visit.backwards}

    def on_visit(self, painted: Any, visit: Visit, event: gr.EventData) -> dict[str, Any]:
        return self.desk.go(painted, visit, number(event, "frame"))

    def on_correct(self, painted: Any, visit: Visit, event: gr.EventData) -> dict[str, Any]:
        return self.desk.go(painted, visit, number(event, "frame"), correct=True)

    def on_point(self, visit: Visit, event: gr.EventData) -> dict[str, Any]:
        return self.desk.point(event._data, visit)

    def on_forget(self, painted: Any, visit: Visit, event: gr.EventData) -> dict[str, Any]:
        return self.desk.forget(painted, visit, number(event, "frame"))

    def on_masks(self, paths: list[str] | None, painted: Any, visit: Visit) -> tuple[Any, None]:
        return self.desk.upload_masks(paths, painted, visit), None

    def on_bad_masks(self, visit: Visit) -> tuple[Any, None]:
        """Told at the picture; the files go, so that others can be chosen."""
        return {"mode": "note", "note": visit.error}, None

    def on_model(self, model: str, other: str | None, painted: Any, visit: Visit) -> tuple[Any, str]:
        return self.desk.choose(model, painted, visit), self.desk.estimate(model, other, visit)
