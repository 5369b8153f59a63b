"""The page of vos_zoo: a video, a drawing on one frame, and the objects cut out of every frame.

`vos-zoo demo`, or python app.py. As a Hugging Face Space this folder is all that is needed. What it does lies in studio/.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from studio import cards, theme
from studio.choices import Choices
from studio.desk import Desk
from studio.limits import Limits
from studio.painter import painter as make_painter
from studio.player import play
from studio.player import player as make_player
from studio.summary import chart
from studio.visit import Visit

HERE = Path(__file__).resolve().parent
EXAMPLES = [  # title, what it shows, clip, mask of its first frame, picture
    ("Koi", "Marked already: just start.", "koi.mp4", "koi_first_mask.png", "koi.jpg"),
    ("Two fish, upright", "Circle them yourself.", "pond_upright.mp4", None, "pond_upright.jpg"),
]
VIDEOS = ["video", ".mkv", ".ts", ".webm", ".gif", ".avi", ".m4v"]
MASKS = [".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".npy", ".zip"]


class Page(gr.Blocks):
    """Says in a sentence what is wrong with a program's arguments, where Gradio would show the inside of an exception, or nothing."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **options: Any) -> list[Any]:
        try:
            return await super().preprocess_data(block_fn, inputs, *rest, **options)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(
                "An argument could not be read: video is one file, mask one file, frame a whole number, model and compare_with "
                "names of models, backwards true or false.",
                title="That did not work",
                print_exception=False,
            ) from error


def build(choices: Choices | None = None, limits: Limits | None = None) -> gr.Blocks:
    """The page, ready to launch. choices: the models on offer; default: all that come with weights, or those in VOS_ZOO_DEMO_MODELS."""
    limits = limits or Limits()
    desk = Desk(choices or Choices([name for name in os.environ.get("VOS_ZOO_DEMO_MODELS", "").split(",") if name] or None), limits)
    offered = [(choice.label, choice.name) for choice in desk.choices.offered]
    several = len(offered) > 1

    with Page(title="vos zoo", analytics_enabled=False, delete_cache=(min(600, limits.keep), limits.keep)) as page:
        clock = gr.Timer(2, active=False)  # while a visitor waits for the machine
        visit = gr.State(Visit(), time_to_live=limits.keep, delete_callback=Visit.close)
        cards.head()
        with gr.Column(elem_id="vz-start") as start:
            with gr.Row(elem_classes="vz-choose"):
                with gr.Column(scale=3, min_width=280):
                    video = gr.File(label="Your clip", file_types=VIDEOS, elem_id="vz-upload", height=220)
                    cards.piece(f'<p class="vz-quiet">{limits.words()}</p>')
                with gr.Column(scale=2, min_width=280):
                    cards.piece('<h2 class="vz-label">Or an example</h2>')
                    shelf = cards.shelf(
                        [(title, words, cards.picture(HERE / "examples" / image)) for title, words, _, _, image in EXAMPLES]
                    )
            cards.piece(cards.STEPS)
        with gr.Column(visible=False, elem_id="vz-mark") as marking:
            with gr.Row(elem_classes="vz-clip"):
                facts = cards.piece("")
                other_clip = gr.Button("Another clip", size="sm", elem_classes="vz-plain", scale=0, min_width=104)
            painter = make_painter(elem_id="vz-painter")
            with gr.Accordion("Upload masks instead of drawing", open=False):
                cards.piece(
                    '<p class="vz-quiet">An indexed PNG (each object one number, as in DAVIS) or a black and white one goes to the frame '
                    "shown above; several, also in a zip, go to the frames in their names, as in 00030.png.</p>"
                )
                masks = gr.File(label="Masks", file_types=MASKS, file_count="multiple", height=120)
            with gr.Row(elem_classes="vz-run"):
                with gr.Column(scale=3, min_width=280):
                    model = gr.Radio(offered, value=desk.choices.default, label="Model", elem_classes="vz-models")
                    compare_with = gr.Dropdown(
                        [("Nothing", ""), *((choice.title, choice.name) for choice in desk.choices.offered)],
                        value="",
                        label="Compare with",
                        info="Both follow the same marks; you see them side by side.",
                        visible=several,
                    )
                    if desk.choices.missing:
                        cards.piece(cards.missing(desk.choices.missing))
                with gr.Column(scale=2, min_width=280):
                    backwards = gr.Checkbox(True, label="Also follow back to the beginning", info="From the first marked frame.")
                    estimate = cards.piece("")
                    run = gr.Button("Follow the objects", variant="primary", size="lg", elem_id="vz-go")
        with gr.Column(elem_id="vz-result"):
            status = cards.piece(label="In words, HTML", elem_id="vz-status")
            cancel = gr.Button("Stop, keep what is done", variant="stop", visible=False, elem_id="vz-cancel")
            with gr.Column(visible=False) as results:
                player = make_player(elem_id="vz-player")
                with gr.Row(elem_classes="vz-taken"):
                    with gr.Column(scale=3, min_width=280):
                        cards.piece('<h2 class="vz-label">Over time</h2>')
                        charts = cards.piece("")
                        cutout = cards.moving_cutout()
                    with gr.Column(scale=2, min_width=280):
                        cards.piece('<h2 class="vz-label">Take away</h2>')
                        files = cards.file_list(elem_id="vz-files")
        with gr.Column(visible=False):  # for programs
            mask = gr.File(label="Mask")
            frame = gr.Number(0, label="Frame of the mask", precision=0)
            overlay = gr.File(label="Overlay video")
            zipped = gr.File(label="Masks, zip of indexed PNGs")
            coco = gr.File(label="Masks, COCO JSON")
            cutouts = gr.File(label="Cut-outs, zip of RGBA PNGs")
            told = gr.JSON(label="Summary")

        opened = [visit, start, marking, facts, painter, estimate, status, results]

        def shown(person: Visit, chosen: str, other: str | None) -> dict[Any, Any]:
            clip = person.clip
            return {
                visit: person,
                start: gr.Column(visible=clip is None),
                marking: gr.Column(visible=clip is not None),
                facts: "" if clip is None else cards.facts(clip),
                painter: desk.show(person),
                estimate: desk.estimate(chosen, other, person),
                status: "",
                results: gr.Column(visible=False),
            }

        def on_upload(path: str | None, chosen: str, other: str | None, person: Visit) -> dict[Any, Any]:
            return shown(desk.open(path, person), chosen, other)

        def on_pick(chosen: str, other: str | None, person: Visit, event: gr.EventData) -> dict[Any, Any]:
            _, _, clip, mask, _ = EXAMPLES[_number(event, "index") % len(EXAMPLES)]
            folder = HERE / "examples"
            return shown(desk.pick(str(folder / clip), None if mask is None else str(folder / mask), person), chosen, other)

        def on_other_clip(person: Visit) -> dict[Any, Any]:
            person.leave()
            return {**shown(person, desk.choices.default, None), video: None}

        def on_visit(painted: Any, person: Visit, event: gr.EventData) -> dict[str, Any]:
            return desk.go(painted, person, _number(event, "frame"))

        def on_forget(painted: Any, person: Visit, event: gr.EventData) -> dict[str, Any]:
            return desk.forget(painted, person, _number(event, "frame"))

        def on_masks(paths: list[str] | None, painted: Any, person: Visit) -> tuple[Any, None]:
            return desk.upload_masks(paths, painted, person), None

        def on_model(chosen: str, other: str | None, painted: Any, person: Visit) -> tuple[Any, str]:
            return desk.choose(chosen, painted, person), desk.estimate(chosen, other, person)

        def on_run(chosen: str, other: str | None, painted: Any, person: Visit) -> tuple[Any, ...]:
            card = desk.ask(chosen, other, painted, person)
            return person, card, gr.Column(visible=False), gr.Button(visible=False), gr.Button(visible=True), gr.Timer(active=True)

        def on_tick(person: Visit) -> tuple[Any, Any]:
            card = desk.turn(person)
            return (gr.skip(), gr.Timer(active=False)) if card is None else (card, gr.skip())

        def segment(
            video: str | None = None,
            mask: str | None = None,
            frame: int | None = None,
            model: str | None = None,
            compare_with: str | None = None,
            backwards: bool | None = None,
            person: Visit | None = None,
        ) -> Iterator[dict[Any, Any]]:
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
            person = person or Visit()
            for news in desk.run(video, mask, frame, model, compare_with, backwards, person):
                if isinstance(news, str):
                    yield {status: news}
                    continue
                made, (lost, notes) = news.files, desk.notes(news)
                yield {
                    overlay: made.overlays[0],
                    zipped: made.zips[0],
                    coco: made.cocos[0],
                    cutouts: made.cutouts,
                    told: news.told,
                    status: cards.done(news.told, lost, notes),
                }

        def on_finish(person: Visit) -> dict[Any, Any]:
            buttons = {run: gr.Button("Follow again", visible=True), cancel: gr.Button(visible=False)}
            if (news := person.finished) is None:
                return buttons
            return {
                **buttons,
                results: gr.Column(visible=True),
                player: play(news.clip, news.parts, news.files),
                charts: "".join(chart(news.clip, part) for part in news.parts),
                files: cards.downloads(news.files, news.parts),
                cutout: news.files.cutout and cards.file(news.files.cutout),
            }

        def on_failure(person: Visit) -> tuple[Any, ...]:
            return cards.failed(person.error), gr.Button(visible=True), gr.Button(visible=False)

        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        look: dict[str, Any] = {**quick, "show_progress": "minimal"}
        uploaded = video.upload(on_upload, [video, model, compare_with, visit], opened, **look)
        uploaded.failure(on_failure, [visit], [status, run, cancel], **quick)
        shelf.pick(on_pick, [model, compare_with, visit], opened, **look)
        other_clip.click(on_other_clip, [visit], [*opened, video], **quick)
        painter.visit(on_visit, [painter, visit], [painter], **quick)
        painter.forget(on_forget, [painter, visit], [painter], **quick)
        masks.upload(on_masks, [masks, painter, visit], [painter, masks], **quick)
        model.change(on_model, [model, compare_with, painter, visit], [painter, estimate], **quick)
        compare_with.change(desk.compare, [model, compare_with, visit], [estimate], **quick)
        player.correct(on_visit, [painter, visit], [painter], **quick).then(None, js=theme.scroll_to("vz-mark"), api_visibility="private")
        cancel.click(desk.stop, [visit], [status], **quick)
        asked = run.click(on_run, [model, compare_with, painter, visit], [visit, status, results, run, cancel, clock], **quick)
        clock.tick(on_tick, [visit], [status, clock], **quick)
        asked.then(None, js=theme.scroll_to("vz-result"), api_visibility="private")
        started = asked.success(
            segment,
            [video, mask, frame, model, compare_with, backwards, visit],
            [overlay, zipped, coco, cutouts, told, status],
            api_name="segment",
            concurrency_limit=1,
            concurrency_id="model",
            show_progress="hidden",
        )
        shown_all = started.success(on_finish, [visit], [run, cancel, results, player, charts, files, cutout], **quick)
        shown_all.then(Visit.tidy, [visit], None, **quick).then(None, js=theme.scroll_to("vz-result"), api_visibility="private")
        started.failure(on_failure, [visit], [status, run, cancel], **quick)
    page.queue(max_size=limits.waiting)
    page.warm_up = desk.warm_up
    page.limits = limits
    return page


def launch(page: gr.Blocks, *, warm: bool = True, **options: Any) -> Any:
    """Starts the server. The model is loaded meanwhile, so that the page answers at once."""
    if warm:
        threading.Thread(target=page.warm_up, daemon=True).start()  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", "This MCP server includes a tool that has a gr.State input")  # a program needs no state of its own
    return page.launch(
        theme=theme.looks(),
        css_paths=[HERE / "studio" / name for name in ("page.css", "painter.css", "player.css")],
        favicon_path=HERE / "favicon.png",
        footer_links=["api"],
        max_file_size=f"{page.limits.megabytes}mb",  # type: ignore[attr-defined]
        mcp_server=importlib.util.find_spec("mcp") is not None,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        **options,
    )


def _number(event: gr.EventData, name: str) -> int:
    value = (event._data or {}).get(name) if isinstance(event._data, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise gr.Error("The page sent something that can't be read: load it again.", print_exception=False)
    return int(value)


if __name__ == "__main__":
    launch(build())
