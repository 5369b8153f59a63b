"""The run as programs call it, over HTTP or as an MCP tool. The page's own button calls the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from gradio.utils import get_function_description

from studio import cards
from studio.desk import Desk, Finished
from studio.events import Update
from studio.looks import Looks
from studio.storage import Storage
from studio.visit import Visit


class Endpoint:
    """Its arguments and results are components that nobody sees; they are made where it is constructed."""

    def __init__(self, desk: Desk, storage: Storage):
        self.desk, self.storage = desk, storage
        with gr.Column(visible=False):
            self.mask = gr.File(label="Mask")
            self.frame = gr.Number(0, label="Frame of the mask", precision=0)
            self.overlay = gr.File(label="Overlay video")
            self.zipped = gr.File(label="Masks, zip of indexed PNGs")
            self.coco = gr.File(label="Masks, COCO JSON")
            self.cutouts = gr.File(label="Cut-outs, zip of RGBA PNGs")
            self.summary = gr.JSON(label="Summary")

    def take(self, *, video: Any, model: Any, compare_with: Any, backwards: Any, visit: gr.State, status: Any) -> None:
        """Which of the page's components are its other arguments, and where it says how far it is."""
        self.status = status
        self._inputs = [video, self.mask, self.frame, model, compare_with, backwards, visit]

    def connect(self, event: Callable[..., Any]) -> Any:
        """Runs when the event comes. One run is worked on at a time."""
        return event(
            self.segment,
            self._inputs,
            [self.overlay, self.zipped, self.coco, self.cutouts, self.summary, self.status],
            api_name="segment",
            concurrency_limit=1,
            concurrency_id="model",
            show_progress="hidden",
        )

    def segment(
        self,
        video: str | None = None,
        mask: str | None = None,
        frame: int | None = None,
        model: str | None = None,
        compare_with: str | None = None,
        backwards: bool | None = None,
        visit: Visit | None = None,
    ) -> Iterator[Update]:
        """Follow objects through a video, from the mask of one frame: returns the mask of every frame.

        Args:
            video: the clip, a video file.
            mask: an image, one number an object (indexed PNG) or one white object; or a zip of such, named after their frames.
            frame: number of the frame that a single mask image belongs to, counted from 0.
            model: which model follows the objects; one that finds them by itself needs no masks.
            compare_with: a second model to follow the same objects; empty for none.
            backwards: whether to follow the objects also from the first marked frame back to the beginning.

        Returns:
            Overlay video, zip of indexed PNG masks, COCO JSON with RLE, zip of transparent cut-outs (none for very large clips),
            summary with the area, confidence and lost stretches of each object, and the same in words, as HTML.
        """
        visit = visit or Visit(self.storage.visits)
        with visit.working(), self.storage.using(video, mask, visit.clip and visit.clip.path, str(visit.folder)):
            for news in self.desk.run(video, mask, frame, model, compare_with, backwards, visit):
                yield {self.status: news} if isinstance(news, str) else self._shown(news, visit.looks)

    def _shown(self, finished: Finished, looks: Looks) -> Update:
        made, (lost, notes) = finished.files, self.desk.notes(finished, looks)
        return {
            self.overlay: made.overlays[0],
            self.zipped: made.zips[0],
            self.coco: made.cocos[0],
            self.cutouts: made.cutouts,
            self.summary: finished.told,
            self.status: cards.done(finished.told, lost, notes),
        }


def explained(info: Any) -> Any:
    """What Gradio tells programs of the endpoint, with the help of each argument as its docstring has it."""
    info = copy.deepcopy(info)
    _, words, _ = get_function_description(Endpoint.segment)
    for parameter in info["named_endpoints"].get("/segment", {}).get("parameters", ()):
        parameter["python_type"]["description"] = words.get(parameter["parameter_name"], "")
    return info


def take_null(server: Any) -> None:
    """Lets the tools of Gradio's MCP server take null for what may be left out: many clients send it."""
    told = server.get_input_schema

    def with_null(*arguments: Any, **options: Any) -> Any:
        schema, files = told(*arguments, **options)
        for name, each in schema["properties"].items():
            if name not in schema.get("required", ()) and isinstance(each.get("type"), str):
                each["type"] = [each["type"], "null"]
                if "enum" in each:
                    each["enum"] = [*each["enum"], None]
        return schema, files

    server.get_input_schema = with_null
