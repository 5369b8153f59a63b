"""Pieces of the page as HTML: its head, the examples, and the status card in each of its states."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from studio.clips import Clip
from studio.drawing import as_uri
from studio.results import Files, Part
from studio.speed import in_words, range_in_words

HERE = Path(__file__).parent
STEPS = """<ol class="vz-steps"><li><b>Choose a clip</b>Yours or an example.</li>
<li><b>Click on an object</b>A click colours all of it. One colour each.</li>
<li><b>Watch and take away</b>Overlay, cut-out, masks.</li></ol>"""


def head() -> gr.HTML:
    """The page's head: its name, how many wait, light or dark."""
    return gr.HTML(html_template=_text("head.html"), js_on_load=_text("head.js"), apply_default_css=False)


def piece(value: str = "", **options: Any) -> gr.HTML:
    """HTML without Gradio's styles for running text."""
    return gr.HTML(value, apply_default_css=False, **options)


def shelf(examples: Sequence[tuple[str, str, str]]) -> gr.HTML:
    """Examples to press: (title, what it shows, picture as a data URI). The event "pick" tells which."""
    cards = "".join(
        f'<button type="button" data-pick="{k}"><img src="{picture}" alt=""><span><b>{escape(title)}</b>{escape(words)}</span></button>'
        for k, (title, words, picture) in enumerate(examples)
    )
    return gr.HTML(
        html_template=f'<div class="vz-shelf" role="group" aria-label="Examples">{cards}</div>',
        js_on_load='element.querySelectorAll("[data-pick]").forEach((b) => b.addEventListener("click", () => '
        'trigger("pick", { index: Number(b.dataset.pick) })));',
        apply_default_css=False,
    )


def file_list(**options: Any) -> gr.HTML:
    """Files to take away. Its value is `downloads(...)`."""
    template = '<ul class="vz-files" aria-label="Files"></ul>'
    return gr.HTML([], html_template=template, js_on_load=_text("downloads.js"), apply_default_css=False, **options)


def moving_cutout() -> gr.HTML:
    """The cut-out on a chequered ground. Its value is `file(...)` or None."""
    return gr.HTML(
        None,
        html_template='<figure class="vz-cutout"><img alt="The objects without their background, moving" hidden></figure>',
        js_on_load="const image = element.querySelector('img');"
        "const show = () => { image.hidden = !props.value; if (props.value) image.src = props.value.url; };"
        "watch('value', show); show();",
        apply_default_css=False,
    )


def file(path: str) -> dict[str, Any]:
    """A file as Gradio hands it to the browser, with an address of its own."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def picture(path: Path) -> str:
    """A JPEG file as a data URI."""
    return "data:image/jpeg;base64," + b64encode(path.read_bytes()).decode("ascii")


def facts(clip: Clip) -> str:
    """One line on the clip."""
    told = [f"{clip.width} × {clip.height}", f"{clip.frames} frames", f"{clip.frames / clip.fps:.1f} s"]
    if clip.cut:
        told.append("the rest is left out")
    return f'<p class="vz-facts"><b>{escape(clip.name)}</b><span>{"</span><span>".join(told)}</span></p>'


def missing(names: Sequence[str]) -> str:
    """Models without weights, folded away."""
    count = f"{len(names)} more model{'s' * (len(names) != 1)}"
    return f'<details class="vz-quiet"><summary>{count} not here yet, for want of trained weights</summary>{", ".join(names)}</details>'


def estimate(seconds: float, frames: int) -> str:
    return f'<p class="vz-quiet">{frames} frames take {range_in_words(seconds)} on this machine.</p>'


def waiting(before: int, seconds: float) -> str:
    if not before:
        return _card("busy", "Starting", "<p>Yours is next.</p>")
    clips = "One clip is" if before == 1 else f"{before} clips are"
    return _card("busy", "In line", f"<p>{clips} before yours: {in_words(seconds)}. It starts by itself.</p>")


def busy(done: int, total: int, seconds_left: float | None, picture: np.ndarray | None, uri: list[str]) -> str:
    """uri: holds the newest picture between calls."""
    if picture is not None:
        uri[:] = [as_uri(picture, 72)]
    share = 100 * done / max(total, 1)
    left = "" if seconds_left is None else f"<span>{in_words(seconds_left).replace('about ', '')} left</span>"
    return _card(
        "busy",
        "Following the objects",
        f'{_live(uri)}<div class="vz-bar" role="progressbar" aria-valuemin="0" aria-valuemax="{total}" aria-valuenow="{done}" '
        f'aria-label="Frames done"><i style="width:{share:.1f}%"></i></div>'
        f'<p class="vz-count"><span>{done} of {total} frames</span>{left}</p>',
    )


def learning() -> str:
    bar = '<div class="vz-bar vz-bar-open" role="progressbar" aria-label="Learning"><i></i></div>'
    return _card("busy", "Learning your objects", f"<p>From the frames that you marked. Then they are followed.</p>{bar}")


def writing(uri: list[str]) -> str:
    bar = '<div class="vz-bar vz-bar-open" role="progressbar" aria-label="Writing files"><i></i></div>'
    return _card("busy", "Drawing the videos", _live(uri) + bar)


def stopping() -> str:
    return _card("busy", "Stopping", "<p>The frames done so far are kept.</p>")


def done(told: dict[str, Any], lost: list[str], notes: list[str]) -> str:
    """lost: HTML. notes: plain words."""
    seconds = told["seconds"]
    frames, objects = told["frames"], len(told["objects"])
    what = f"{frames} frame{'s' * (frames != 1)}, {objects} object{'s' * (objects != 1)}, {seconds:.0f} s."
    lines = [f"<p>{what}</p>", *(f"<p>{escape(note)}</p>" for note in notes)]
    if "compared_with" in told:
        other = told["compared_with"]
        lines.append(
            f"<p>{escape(told['model'])} and {escape(other['model'])} agree on {100 * other['agreement']:.0f} % of the object pixels.</p>"
        )
    if lost:
        lines.append(f"<ul>{''.join(f'<li>{line}</li>' for line in lost)}</ul><p>Go to such a frame and press Correct this frame.</p>")
    return _card("done", "Done" if told["finished"] else "Stopped: this is what was done", "".join(lines))


def failed(message: str) -> str:
    return _card(
        "error", "That did not work", f"<p>{escape(message or 'The page had trouble with this. Load it again and try once more.')}</p>"
    )


def downloads(files: Files, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """For `Downloads`."""
    rows: list[tuple[str, str, str | None]] = []
    for part, overlay, masks, coco in zip(parts, files.overlays, files.zips, files.cocos, strict=True):
        of = f" of {part.title}" if len(parts) > 1 else ""
        rows += [
            (f"Overlay video{of}", "mp4, full size", overlay),
            (f"Masks{of}", "zip of indexed PNGs, full size", masks),
            (f"Masks{of} for programs", "COCO JSON with RLE", coco),
        ]
    rows += [("Cut-outs", "zip of transparent PNGs, full size", files.cutouts), ("Moving cut-out", "transparent WebP, small", files.cutout)]
    return [{"title": title, "words": words, "bytes": Path(path).stat().st_size, "file": file(path)} for title, words, path in rows if path]


def extra(title: str, path: Path) -> dict[str, Any]:
    """A row of `file_list`."""
    return {"title": title, "words": path.suffix[1:], "bytes": path.stat().st_size, "file": file(str(path))}


def _live(uri: list[str]) -> str:
    return f'<img class="vz-live" src="{uri[0]}" alt="The newest frame with its objects">' if uri else ""


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _card(state: str, title: str, inside: str) -> str:
    role = ' role="alert"' if state == "error" else ' role="status"' if state == "done" else ""
    spin = '<span class="vz-spin" aria-hidden="true"></span>' if state == "busy" else ""
    return f'<section class="vz-card vz-{state}"{role}><h2>{spin}{escape(title)}</h2>{inside}</section>'
