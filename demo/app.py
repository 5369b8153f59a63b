"""The page of vos_zoo: a video, a drawing on one frame, and the objects cut out of every frame.

`vos-zoo demo`, or python app.py. As a Hugging Face Space this folder is all that is needed. What it does lies in studio/, a class a step.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import gradio as gr
from studio import cards, theme
from studio.choices import Choices
from studio.choose_step import ChooseStep
from studio.desk import Desk
from studio.endpoint import Endpoint, explained, take_null
from studio.limits import Limits
from studio.mark_step import MarkStep
from studio.places import one_place_each
from studio.pointing import Answers
from studio.storage import Storage
from studio.visit import Visit
from studio.watch_step import WatchStep

HERE = Path(__file__).resolve().parent
LEAST = 45.0  # seconds that a file is kept: from an upload to the run that uses it, on a slow machine


class Page(gr.Blocks):
    """Deletes its visitors' files when it is closed.

    Says in a sentence what is wrong with a program's arguments, where Gradio would show the inside of an exception, or nothing."""

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

    def get_api_info(self, *arguments: Any, **options: Any) -> Any:
        return explained(super().get_api_info(*arguments, **options))

    def close(self, *arguments: Any, **options: Any) -> None:
        super().close(*arguments, **options)
        self.storage.close()


def build(choices: Choices | None = None, limits: Limits | None = None, answers: Answers | None = None) -> gr.Blocks:
    """The page, ready to launch.

    Args:
        choices: the models on offer. Default: those named in VOS_ZOO_DEMO_MODELS, else all that come with weights.
        limits: what the page takes.
        answers: what finds the object of a click. Default: vos_zoo's pointer.

    Raises:
        vos_zoo.VosZooError: a model is not there, or files can't be kept.
    """
    limits = limits or Limits()
    storage = Storage(max(limits.keep, LEAST))
    named = [name for name in os.environ.get("VOS_ZOO_DEMO_MODELS", "").split(",") if name]
    desk = Desk(choices or Choices(named or None), limits, answers)
    with Page(title="vos zoo", analytics_enabled=False) as page:  # no delete_cache: it forgets results, and takes what is in use
        visit = gr.State(Visit(storage.visits), time_to_live=limits.keep, delete_callback=Visit.close)
        cards.head()
        choose, mark = ChooseStep(desk), MarkStep(desk)
        watch, endpoint = WatchStep(desk, mark), Endpoint(desk, storage)
        endpoint.take(
            video=choose.video,
            model=mark.model,
            compare_with=mark.compare_with,
            backwards=mark.backwards,
            visit=visit,
            status=watch.status,
        )
        choose.connect(page, visit, mark, watch)
        mark.connect(visit)
        watch.connect(visit, endpoint)
    page.queue(max_size=limits.waiting)
    one_place_each(page._queue, "segment")
    page.warm_up = desk.warm_up
    page.limits = limits
    page.storage = storage
    return page


def launch(page: gr.Blocks, *, warm: bool = True, **options: Any) -> Any:
    """Starts the server. The models are loaded meanwhile, so that the page answers at once."""
    if warm:
        threading.Thread(target=page.warm_up, daemon=True).start()  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", "This MCP server includes a tool that has a gr.State input")  # a program needs no state of its own
    waits = not options.pop("prevent_thread_lock", False)
    launched = page.launch(
        theme=theme.looks(),
        css_paths=[HERE / "studio" / name for name in ("page.css", "painter.css", "player.css")],
        favicon_path=HERE / "favicon.png",
        footer_links=["api"],
        max_file_size=f"{page.limits.megabytes}mb",  # type: ignore[attr-defined]
        state_session_capacity=page.limits.sessions,  # type: ignore[attr-defined]
        mcp_server=importlib.util.find_spec("mcp") is not None,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        app_kwargs={"exception_handlers": {TypeError: _unreadable}},
        prevent_thread_lock=True,
        **options,
    )
    if page.mcp_server_obj is not None:
        take_null(page.mcp_server_obj)
    if waits:
        page.block_thread()
    return launched


async def _unreadable(request: Any, error: Exception) -> Any:
    """What Gradio raises of an upload without a file name, and the like, is the sender's fault."""
    from starlette.responses import PlainTextResponse

    return PlainTextResponse("What was sent could not be read: send each file with its name.", status_code=400)


if __name__ == "__main__":
    launch(build())
