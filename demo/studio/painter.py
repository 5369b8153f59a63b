"""The painter: a frame of the clip, on which each object is drawn in its colour; the timeline below it, the tools beside it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.templates import painter_parts


def painter(**options: Any) -> gr.HTML:
    """The component. Its value: to the browser `show(...)` or {"mode": "empty"}, from it what `marks.Drawing.read` takes.

    Events: "visit" and "forget" a frame, "point" at an object, "follow" what is marked. To a "point" it also takes an answer,
    `pointing.Answers.answer`, and {"mode": "note", "note": words} at any time.
    """
    template, script = painter_parts()
    return gr.HTML({}, html_template=template, js_on_load=script, apply_default_css=False, **options)


def show(
    *,
    serial: int,
    frame: int,
    frames: int,
    fps: float,
    size: tuple[int, int],
    picture: str,
    runs: list[int],
    loaded: list[int],
    touched: list[int],
    result: list[int] | None,
    marks: list[dict[str, Any]],
    note: str,
    draws: bool,
    points: bool,
    fresh: bool,
    correct: bool,
    key: str,
    objects: list[dict[str, str]],
) -> dict[str, Any]:
    """What the painter shows: a frame's picture (a data URI), ids over it as run lengths, an earlier result there, all marked frames.

    fresh: the clip is new. correct: what is drawn starts from the result. key: of the visit, for when the page is loaded again.
    objects: names and colours of those that can be drawn.
    """
    return {
        "mode": "draw" if draws else "none",
        "serial": serial,
        "frame": frame,
        "frames": frames,
        "fps": fps,
        "height": size[0],
        "width": size[1],
        "picture": picture,
        "runs": runs,
        "loaded": loaded,
        "touched": touched,
        "result": result,
        "marks": marks,
        "note": note,
        "points": points,
        "fresh": fresh,
        "correct": correct,
        "key": key,
        "objects": objects,
    }
