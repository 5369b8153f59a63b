"""Pointing at objects on the page, in a browser: clicks, boxes, undo, a later frame; and a stranger's way with the real models."""

from __future__ import annotations

import itertools
import time
import zipfile

import av
import demo_page
import numpy as np
import pytest
import visiting
from demo_page import SIZE, scene
from pointing_toy import toy_pointer
from visiting import iou, opened, painted, ready

import vos_zoo

app = demo_page.app()

from studio.choices import Choices  # noqa: E402
from studio.limits import Limits  # noqa: E402
from studio.pointing import Answers  # noqa: E402

HERE = {row.name for row in vos_zoo.list_models() if row.has_weights}


@pytest.fixture(scope="module")
def server(place, choices):
    with demo_page.served(choices, Limits(), place / "files", Answers(toy_pointer())) as address:
        yield address


def at(page, x, y, size=SIZE):
    """The middle of a pixel."""
    return visiting.at(page, x + 0.5, y + 0.5, size)


def click(page, x, y, size=SIZE):
    page.mouse.click(*at(page, x, y, size))
    ready(page)


def middle(truth, k):
    ys, xs = np.nonzero(truth == k)
    return int(xs.mean()), int(ys.mean())


def test_a_click_finds_an_object_and_the_run_follows_its_mask(browser, server, clip):
    page, truth = opened(browser, server, clip), scene()[1]
    assert page.locator(".vp-point").get_attribute("aria-pressed") == "true"
    click(page, *middle(truth[0], 1))
    assert iou(painted(page) == 1, truth[0] == 1) > 0.6
    page.locator(".vp-object input[value='2']").check(force=True)
    click(page, *middle(truth[0], 2))
    labels = painted(page)
    assert iou(labels == 2, truth[0] == 2) > 0.6 and (labels == 1).any()
    assert page.locator(".vp-to").first.get_attribute("aria-label") == "Frame 0, objects 1, 2: show"
    page.locator("#vz-go").click()
    page.wait_for_selector("#vz-status .vz-done")
    assert "2 objects" in page.locator("#vz-status .vz-done").inner_text() and page.failed == []


def test_not_this_takes_away_and_undo_and_redo_go_back_and_forth(browser, server, clip):
    page, truth = opened(browser, server, clip), scene()[1]
    page.locator(".vp-not").click()
    click(page, *middle(truth[0], 1))
    assert "First click on the object" in page.locator(".vp-note").inner_text() and not painted(page).any()
    page.locator(".vp-boxer").click()
    (x0, y0), (x1, y1) = at(page, 9, 9), at(page, 23, 23)
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()
    ready(page)
    boxed = painted(page)
    assert (boxed == 1).any()
    page.locator(".vp-not").click()
    click(page, 1, 60)
    assert (painted(page)[:50] == 1).sum() <= (boxed == 1).sum()  # below it is the dot of the click, drawn in the same colour
    page.locator(".vp-undo").click()
    assert (painted(page) == boxed).all()
    page.locator(".vp-undo").click()
    assert not painted(page).any() and page.locator(".vp-to").count() == 0
    page.locator(".vp-redo").click()
    assert (painted(page) == boxed).all() and page.failed == []


def test_a_later_frame_and_the_keyboard(browser, server, clip):
    page, truth = opened(browser, server, clip), scene()[1]
    page.evaluate("() => { const r = document.querySelector('.vp-range'); r.value = 5; r.dispatchEvent(new Event('change')); }")
    page.wait_for_function("() => document.querySelector('.vp-now').textContent.endsWith('frame 5')")
    ready(page)
    click(page, *middle(truth[5], 2))
    assert iou(painted(page) == 1, truth[5] == 2) > 0.6
    assert page.locator(".vp-to").first.get_attribute("aria-label") == "Frame 5, objects 1: show"
    page.locator(".vp-paint").focus()
    page.keyboard.press("3")
    page.keyboard.press("c")
    page.keyboard.press(" ")
    ready(page)
    assert (painted(page) == 3).any()
    page.keyboard.press("z")
    assert not (painted(page) == 3).any()
    page.keyboard.press("y")
    assert (painted(page) == 3).any() and page.failed == []


def test_a_finger_on_a_phone(browser, server, clip):
    page, truth = opened(browser, server, clip, 400, has_touch=True), scene()[1]
    page.touchscreen.tap(*at(page, *middle(truth[0], 1)))
    ready(page)
    assert iou(painted(page) == 1, truth[0] == 1) > 0.6
    page.locator("#vz-go").click()
    page.wait_for_selector("#vz-status .vz-done")
    page.wait_for_selector(".vz-unfold")
    facts, button = page.locator(".vz-facts").bounding_box(), page.locator(".vz-unfold").bounding_box()
    assert facts["width"] > 250 and facts["y"] + facts["height"] <= button["y"], "the clip's name has a line of its own"
    assert page.evaluate("() => document.documentElement.scrollWidth <= 400") and page.failed == []


def beginning(clip, path, frames=8):
    """A clip's first frames as they are, not compressed again, so that the test takes seconds."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        copied = target.add_stream_from_template(video)
        for packet in itertools.islice(source.demux(video), frames):
            packet.stream = copied
            target.mux(packet)
    return path


@pytest.mark.skipif(not {"pointer", "crvos-resnet18"} <= HERE, reason="the weights of pointer or crvos-resnet18 are not here")
def test_a_stranger_clicks_once_on_the_example_and_gets_its_masks(browser, place):
    from vos_zoo.evaluation.metrics import jaccard

    with demo_page.served(Choices(["crvos-resnet18"]), Limits(), place / "real", None) as address:
        page = opened(browser, address, str(beginning(app.HERE / "examples" / "koi.mp4", place / "koi.mp4")))
        truth = vos_zoo.read_mask(app.HERE / "examples" / "koi_first_mask.png").labels == 1
        size = page.evaluate("() => { const c = document.querySelector('.vp-paint'); return [c.height, c.width]; }")
        ys, xs = np.nonzero(truth)
        spot = np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2)
        scale = size[0] / truth.shape[0]
        begun = time.perf_counter()
        click(page, xs[spot] * scale, ys[spot] * scale, size)
        print(f"click to mask: {time.perf_counter() - begun:.2f} s")
        page.locator("#vz-go").click()
        page.wait_for_selector("#vz-status .vz-done")
        with page.expect_download() as download:
            page.locator("#vz-files a", has_text="zip of indexed PNGs").first.click()
        download.value.save_as(place / "masks.zip")
        with zipfile.ZipFile(place / "masks.zip") as archive:
            archive.extractall(place / "masks")
        masks = vos_zoo.MaskSequence.load(place / "masks")
        assert jaccard(truth[None], (masks[0] == 1)[None])[0] >= 0.8 and masks.computed.all() and page.failed == []
