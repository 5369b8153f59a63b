"""What the tests that visit the page in a browser share: chromium, driven by playwright. Without them, who imports this is skipped."""

from __future__ import annotations

import base64
import math
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import demo_page
import numpy as np
import pytest
from demo_page import SIZE

import vos_zoo

demo_page.app()
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = os.environ.get("VOS_ZOO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no chromium: apt-get install chromium, or set VOS_ZOO_CHROMIUM", allow_module_level=True)

from studio.drawing import COLOURS  # noqa: E402

PATIENCE = 120_000  # milliseconds; a quiet machine needs a second or two
HEIGHTS = {1280: 900, 400: 800}  # of the window, by its width
Spot = tuple[float, float]


@contextmanager
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def opened(browser: Any, address: str, path: str | None = None, width: int = 1280, **options: Any) -> Any:
    """A page that has loaded, with a clip if there is one. It gathers in `failed` what scripts raised, in `foreign` what was asked of
    other machines; `fingers` is what `stroke` draws with where there is no mouse."""
    page = browser.new_context(viewport={"width": width, "height": options.pop("height", 900)}, **options).new_page()
    page.set_default_timeout(PATIENCE)
    page.failed, page.foreign = [], []
    page.fingers = page.context.new_cdp_session(page) if options.get("has_touch") else None
    page.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:")) else page.foreign.append(request.url))
    page.on("pageerror", lambda error: page.failed.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".vz-shelf button")
    if path:
        upload(page, path)
        ready(page)
    return page


def of_size(browser: Any, address: str, path: str, width: int, **options: Any) -> Any:
    """A page as wide as a desk's or a phone's, with a clip. Nothing moves by itself."""
    return opened(browser, address, path, width, height=HEIGHTS[width], has_touch=width < 640, reduced_motion="reduce", **options)


def upload(page: Any, path: str) -> None:
    page.set_input_files("#vz-upload input[type=file]", path)


def ready(page: Any) -> None:
    """Waits for the painter to show a frame, and the answer to what was clicked on it."""
    page.wait_for_selector(".vp-paint", state="visible")
    page.wait_for_function(
        "() => { const s = document.querySelector('.vp-stage'); return !s.dataset.busy && !s.dataset.asking && "
        "document.querySelector('.vp-now').textContent; }"
    )


def spots(page: Any, points: Iterable[Spot], size: tuple[int, int] = SIZE) -> list[Spot]:
    """Where points of the clip, in its pixels, lie in the window, which shows the picture then."""
    page.evaluate("document.querySelector('.vp-stage').scrollIntoView({block: 'center'})")
    box = page.locator(".vp-paint").bounding_box()
    return [(box["x"] + box["width"] * x / size[1], box["y"] + box["height"] * y / size[0]) for x, y in points]


def at(page: Any, x: float, y: float, size: tuple[int, int] = SIZE) -> Spot:
    return spots(page, [(x, y)], size)[0]


def ring(x: float, y: float, radius: float, share: float = 1) -> list[Spot]:
    """A circle, or a share of one."""
    turns = [2 * math.pi * share * k / 20 for k in range(21)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def fingers(page: Any, *ways: list[Spot]) -> None:
    """Moves a finger along each way, in the window, all at once."""

    def tell(kind: str, points: Iterable[Spot]) -> None:
        told = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
        page.fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    steps = list(zip(*ways, strict=True))
    for count in range(1, len(ways) + 1):
        tell("touchStart", steps[0][:count])
    for step in steps[1:]:
        tell("touchMove", step)
    tell("touchEnd", [])


def stroke(page: Any, points: list[Spot], size: tuple[int, int] = SIZE) -> None:
    """Draws along points of the clip with whatever is held: by mouse, or with a finger on a phone."""
    way = spots(page, points, size)
    if page.fingers is not None:
        fingers(page, way)
        return
    page.mouse.move(*way[0])
    page.mouse.down()
    for spot in way[1:]:
        page.mouse.move(*spot)
    page.mouse.up()


def brush(page: Any, object_id: int, snap: bool = False) -> None:
    page.locator(".vp-pen").click()
    page.locator(".vp-snap input").set_checked(snap)
    page.locator(f".vp-object input[value='{object_id}']").check(force=True)


def circle(page: Any, object_id: int, x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> None:
    """Draws a line around (x, y), in the clip's pixels, with the colour of an object."""
    brush(page, object_id)
    stroke(page, ring(x, y, radius), size)


def pixels(page: Any, canvas: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 4) of a canvas, once what was asked to be drawn on it is."""
    rgba = page.evaluate(
        """(which) => { const c = document.querySelector(which);
        const read = () => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data, (n) => String.fromCharCode(n));
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(btoa(read().join('')))))); }""",
        canvas,
    )
    return np.frombuffer(base64.b64decode(rgba), np.uint8).reshape(*size, 4).astype(int)


def painted(page: Any, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Ids (H, W) as the colours on the painter's canvas show them; dots and boxes count as background."""
    shown = pixels(page, ".vp-paint", size)
    colours = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in COLOURS])
    apart = np.abs(shown[..., None, :3] - colours).sum(-1)
    return np.where((shown[..., 3] > 0) & (apart.min(-1) < 12), apart.argmin(-1) + 1, 0)


def go_to(page: Any, frame: int) -> None:
    page.evaluate("(f) => { const r = document.querySelector('.vp-range'); r.value = f; r.dispatchEvent(new Event('change')); }", frame)
    page.wait_for_function("(f) => document.querySelector('.vp-now').textContent.endsWith(`frame ${f}`)", arg=frame)
    ready(page)


def marked(page: Any) -> list[str]:
    return [each.get_attribute("aria-label") for each in page.locator(".vp-to").all()]


def start(page: Any) -> None:
    if page.locator(".vz-unfold").is_visible():
        page.locator(".vz-unfold").click()
    page.locator("#vz-go").click()
    page.wait_for_selector("#vz-mark.vz-folded")


def wait_for_card(page: Any, state: str, words: str) -> str:
    page.wait_for_function(
        "([s, w]) => { const c = document.querySelector(`#vz-status .vz-${s}`); return c && c.innerText.includes(w); }", arg=[state, words]
    )
    return page.locator(f"#vz-status .vz-{state}").inner_text()


def wait_for_result(page: Any) -> None:
    wait_for_card(page, "done", "Done")
    page.wait_for_selector(".vl-stage[data-ready]")


def wait_in_view(page: Any, selector: str) -> None:
    """Waits until all of an element is seen in the window, with nothing over it."""
    page.wait_for_function(
        """(which) => { const e = document.querySelector(which), b = e?.getBoundingClientRect();
        if (!b?.width || b.top < 0 || b.left < 0 || b.bottom > innerHeight || b.right > innerWidth) return false;
        const top = document.elementFromPoint(b.left + b.width / 2, b.top + b.height / 2);
        return e.contains(top) || top?.contains(e); }""",
        arg=selector,
    )


def take_masks(page: Any, folder: Path) -> vos_zoo.MaskSequence:
    """The masks in the zip that the page offers."""
    with page.expect_download() as download:
        page.locator("#vz-files a", has_text="zip of indexed PNGs").first.click()
    download.value.save_as(folder / "masks.zip")
    shutil.rmtree(folder / "masks", ignore_errors=True)
    with zipfile.ZipFile(folder / "masks.zip") as archive:
        archive.extractall(folder / "masks")
    return vos_zoo.MaskSequence.load(folder / "masks")


@contextmanager
def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """Every frame takes at least this long."""
    desk = sys.modules["studio.desk"]
    follow = desk.follow

    def slow(*arguments: Any, **options: Any) -> Iterator[Any]:
        for step in follow(*arguments, **options):
            time.sleep(seconds)
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(desk, "follow", slow)
        yield


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())
