"""The page without a server (demo/browser/) in headless Chromium. Tests skip where Chromium, playwright or npm packages are missing."""

from __future__ import annotations

import functools
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from programs import module

BROWSER = Path(__file__).resolve().parent.parent / "demo" / "browser"
PATIENCE = 60_000  # milliseconds


def builder() -> ModuleType:
    """demo/browser/build.py; skips in copies of the library that lack it."""
    if not BROWSER.is_dir():
        pytest.skip("demo/ is not part of this copy")
    return module("vos_zoo_demo_browser", BROWSER / "build.py")


def packages() -> Path:
    """node_modules with what package-lock.json pins; skips without."""
    folder = Path(os.environ.get("VOS_ZOO_NODE_MODULES") or "missing")
    if not (folder / "onnxruntime-web").is_dir():
        pytest.skip("no npm packages: copy demo/browser/package*.json, run npm ci there, set VOS_ZOO_NODE_MODULES to node_modules")
    return folder


@contextmanager
def served(site: Path) -> Iterator[tuple[str, Any]]:
    """The built page on a free port: its address, and a function that ends the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(builder().Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    yield f"http://127.0.0.1:{server.server_port}/", end
    end()


@contextmanager
def opened(address: str, *arguments: str) -> Iterator[Any]:
    """A page in Chromium, started with further arguments. Afterwards: nothing was asked of another machine, and no script failed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    chromium = os.environ.get("VOS_ZOO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium, or set VOS_ZOO_CHROMIUM")
    foreign: list[str] = []
    failed: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", *arguments])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:")) else foreign.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(address)
        yield page
        browser.close()
    assert foreign == [] and failed == []


def follow(page: Any, clip: Path | list[Path], mask: Path) -> np.ndarray:
    """Chooses a clip, uploads the mask of its first frame, follows it to the end: ids (T, H, W)."""
    page.set_input_files("#files", clip)
    page.wait_for_selector(".vp-paint", state="visible")
    page.set_input_files("#mask-file", mask)
    page.wait_for_selector(".vp-go:enabled")
    page.click(".vp-go")
    page.wait_for_selector("#watch, #failed", state="visible")
    assert page.is_hidden("#failed"), page.inner_text("#why")
    size = np.asarray(Image.open(mask)).shape
    ids = page.evaluate(f"window.vosZoo.results.masks.map((runs) => Array.from(window.vosZoo.runsToIds(runs, {size[0] * size[1]})))")
    return np.array(ids, np.uint8).reshape(-1, *size)


def saved(page: Any, ending: str) -> Path:
    """A result that the page offers, downloaded."""
    with page.expect_download() as download:
        page.click(f"#saved a[data-file$='{ending}']")
    return Path(download.value.path())


def masks_in(archive: Path) -> np.ndarray:
    with zipfile.ZipFile(archive) as files:
        return np.stack([np.asarray(Image.open(files.open(name))) for name in sorted(files.namelist())])


def frames_in(video: Path) -> np.ndarray:
    with av.open(str(video)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
