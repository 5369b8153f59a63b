"""The page in a browser, as a visitor has it: Debian's chromium, driven by playwright; skipped where one of them is missing."""

from __future__ import annotations

import demo_page
import numpy as np
import pytest
from demo_page import FRAMES, SIZE, scene, write_mask
from visiting import (
    at,
    circle,
    go_to,
    marked,
    opened,
    painted,
    pixels,
    ready,
    slowly,
    start,
    take_masks,
    upload,
    wait_for_card,
)

app = demo_page.app()

from studio.limits import Limits  # noqa: E402


@pytest.fixture(scope="module")
def server(place, choices):
    with demo_page.served(choices, Limits(megabytes=2), place / "files") as address:
        yield address


@pytest.fixture
def visitor(browser, server):
    """visitor(width): a page that has loaded. Afterwards: nothing was asked of another machine, and no script failed."""
    pages = []

    def visit(width=1280, **options):
        pages.append(opened(browser, server, width=width, **options))
        return pages[-1]

    yield visit
    for page in pages:
        page.context.close()
    assert all(page.foreign == [] and page.failed == [] for page in pages)


def test_upload_draw_run_cancel_run_again_and_take_the_masks(visitor, clip, one, monkeypatch, tmp_path):
    page = visitor()
    assert "200 MB" not in page.content() and "Up to 2 MB and 4096 pixels a side" in page.content()
    upload(page, clip)
    ready(page)
    assert "96 × 64" in page.locator(".vz-facts").inner_text()
    circle(page, 1, 20, 16, 10)
    circle(page, 2, 60, 40, 14)
    assert marked(page) == ["Frame 0, objects 1, 2: show"]
    labels = painted(page)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    for k, (cx, cy, r) in {1: (20, 16, 10), 2: (60, 40, 14)}.items():
        assert (labels[np.hypot(x - cx, y - cy) < r] == k).all(), "what was circled is filled"
        assert (labels[np.hypot(x - cx, y - cy) > r + 7] != k).all()

    with slowly(monkeypatch, 0.6):
        start(page)
        page.wait_for_selector(".vz-live")
        assert "of 8 frames" in wait_for_card(page, "busy", "frames")
        page.locator("#vz-cancel").click()
        assert "Stopped: this is what was done" in wait_for_card(page, "done", "Stopped")
    some = take_masks(page, tmp_path)
    assert 1 <= len(some) < FRAMES

    start(page)
    wait_for_card(page, "done", "8 frames, 2 objects")
    masks = take_masks(page, tmp_path)
    assert np.array_equal(masks[0], labels), "the masks begin with what was drawn"
    assert masks == one.propagate(clip, labels) and masks[: len(some)] == some
    page.wait_for_function("() => document.querySelector('.vl-video').readyState == 4")
    page.wait_for_selector(".vl-stage[data-ready]")
    assert page.locator(".vl-strip button").count() == 8 and page.locator(".vz-chart").count() == 1
    assert pixels(page, ".vl-canvas")[..., :3].std() > 5
    assert page.evaluate("() => document.querySelector('.vz-cutout img').naturalWidth") == 96


def test_a_late_object_and_a_correction(visitor, clip, one, tmp_path):
    page = visitor()
    upload(page, clip)
    ready(page)
    circle(page, 1, 20, 16, 10)
    first = painted(page)
    go_to(page, 3)
    assert not painted(page).any()
    circle(page, 2, 60, 40, 12)
    late = painted(page)
    go_to(page, 0)
    assert np.array_equal(painted(page), first), "a drawing is kept while another frame is shown"
    assert marked(page) == ["Frame 0, objects 1: show", "Frame 3, objects 2: show"]
    page.get_by_label("Also follow back to the beginning").uncheck()  # as `propagate` goes, forward
    start(page)
    wait_for_card(page, "done", "8 frames, 2 objects")
    given = {0: {1: first == 1}, 3: {2: late == 2}}
    assert take_masks(page, tmp_path) == one.propagate(clip, masks=given)

    page.wait_for_selector(".vl-stage[data-ready]")
    page.locator(".vl-strip button").nth(5).click()
    page.wait_for_function("() => document.querySelector('.vl-now').textContent.endsWith('frame 5')")
    page.locator(".vl-correct").click()
    page.wait_for_function("() => document.querySelector('.vp-now').textContent.endsWith('frame 5')")
    ready(page)
    result = painted(page)
    assert np.array_equal(result, one.propagate(clip, masks=given)[5]), "correcting begins with the result"
    assert page.locator(".vp-use").inner_text() == "Start empty" and len(marked(page)) == 2, "what is not touched is not corrected"
    page.locator(".vp-use").click()
    assert page.locator(".vp-use").inner_text() == "Start from the result"  # its outline stays, dashed
    circle(page, 1, 70, 20, 9)
    start(page)
    wait_for_card(page, "busy", "")
    wait_for_card(page, "done", "8 frames")
    masks = take_masks(page, tmp_path)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    corrected, distance = masks[5] == 1, np.hypot(x - 70, y - 20)
    assert corrected[distance < 9].all() and not corrected[distance > 16].any()
    assert masks == one.propagate(clip, masks={**given, 5: {1: corrected}})


def test_wiping_an_object_out_says_that_it_is_gone(visitor, clip, place, one, tmp_path):
    page = visitor()
    upload(page, clip)
    ready(page)
    page.locator("button", has_text="Upload masks instead").click()
    page.set_input_files("#vz-mark input[type=file]", write_mask(place / "first.png", scene()[1][0]))
    page.wait_for_function("() => document.querySelector('.vp-note').textContent.includes('Taken over')")
    assert marked(page) == ["Frame 0, objects 1, 2: show"]
    page.locator(".vp-eraser").click()
    page.locator(".vp-size input").fill("48")
    x, y = at(page, 16, 16)
    page.locator(".vp-object input[value='1']").focus()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5, y)
    page.mouse.up()
    assert marked(page) == ["Frame 0, objects 2, gone 1: show"]
    start(page)
    wait_for_card(page, "done", "1 object")
    assert take_masks(page, tmp_path) == one.propagate(clip, np.where(scene()[1][0] == 2, 2, 0))


def test_what_goes_wrong_is_said_and_the_page_goes_on(visitor, place, clip):
    page = visitor()
    (place / "words.mp4").write_text("just words\n" * 20)
    upload(page, place / "words.mp4")
    assert "words.mp4 as a video: it is no video" in wait_for_card(page, "error", "words.mp4")
    (place / "heavy.mp4").write_bytes(b"\0" * 2_500_000)
    page.reload()
    page.wait_for_selector(".vz-shelf button")
    upload(page, place / "heavy.mp4")
    page.wait_for_function(
        "() => /limit|exceeds|too large|maximum/i.test(document.querySelector('.toast-body, .toast-wrap')?.innerText ?? '')"
    )
    page.reload()
    page.wait_for_selector(".vz-shelf button")
    upload(page, clip)
    ready(page)
    assert page.locator("#vz-go").is_disabled() and "First click on an object" in page.locator(".vp-why").inner_text()
    page.locator("label", has_text="finder").first.click()
    page.wait_for_selector(".vp-none", state="visible")
    start(page)
    wait_for_card(page, "done", "8 frames")


def test_an_example_on_a_phone_in_the_dark(visitor):
    page = visitor(400, has_touch=True, color_scheme="dark")

    def fits():
        return page.evaluate("() => document.documentElement.scrollWidth <= 400 && document.body.scrollWidth <= 400")

    assert fits() and page.evaluate("() => document.body.classList.contains('dark')")
    page.locator(".vz-shelf button").nth(0).click()
    ready(page)
    assert fits() and marked(page) == ["Frame 0, objects 1: show"]
    page.locator("label", has_text="two").first.click()
    start(page)
    wait_for_card(page, "done", "60 frames, 1 object")
    page.wait_for_selector(".vl-stage[data-ready]")
    assert fits()
    page.locator(".vz-look").click()
    assert not page.evaluate("() => document.body.classList.contains('dark')")


def test_the_keyboard_draws_and_everything_has_a_name(visitor, clip):
    page = visitor()
    upload(page, clip)
    ready(page)
    page.locator(".vp-paint").focus()
    for key in ("b", "2", "ArrowUp", " ", *["ArrowRight"] * 4, " "):
        page.keyboard.press(key)
    labels = painted(page)
    assert set(np.unique(labels)) == {0, 2} and marked(page) == ["Frame 0, objects 2: show"]
    page.keyboard.press("z")
    assert not painted(page).any() and marked(page) == []
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('main :is(button, input:not([type=file]), select, textarea, canvas[tabindex])')]
        .filter((e) => e.offsetParent && !(e.ariaLabel || e.labels?.length || e.innerText?.trim() || e.title))
        .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


def test_two_visitors_do_not_see_each_other(visitor, clip):
    first, second = visitor(), visitor()
    upload(first, clip)
    ready(first)
    circle(first, 1, 20, 16, 10)
    upload(second, clip)
    ready(second)
    assert marked(second) == [] and marked(first) == ["Frame 0, objects 1: show"]
    assert second.locator("#vz-go").is_disabled() and first.locator("#vz-go").is_enabled()


def test_a_reload_finds_the_visit_and_objects_have_names_and_are_hidden(visitor, clip):
    page = visitor()
    assert not page.locator(".vp-paint").is_visible()
    upload(page, clip)
    ready(page)
    circle(page, 1, 20, 16, 10)
    circle(page, 2, 60, 40, 14)
    labels = painted(page)
    page.reload()
    ready(page)
    assert marked(page) == ["Frame 0, objects 1, 2: show"] and np.array_equal(painted(page), labels)
    page.locator("#vz-go").click()
    wait_for_card(page, "done", "8 frames, 2 objects")
    page.wait_for_selector(".vl-stage[data-ready]")
    page.locator(".vl-strip button").first.click()
    whole = pixels(page, ".vl-canvas")[..., :3]
    page.get_by_label("Name of object 1").fill("Red fish")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelector('.vz-keys').innerText.includes('Red fish')")
    page.get_by_label("Show Object 2").uncheck()
    page.wait_for_function("() => document.querySelector('.vl-hidden')")
    page.wait_for_timeout(300)
    some = pixels(page, ".vl-canvas")[..., :3]
    changed = np.abs(some - whole).sum(-1) > 60
    assert changed[labels == 2].mean() > 0.8 and changed[labels != 2].mean() < 0.1
    page.reload()
    wait_for_card(page, "done", "8 frames, 2 objects")
    page.wait_for_selector(".vl-stage[data-ready]")
    assert page.get_by_label("Name of object 1").input_value() == "Red fish" and not page.get_by_label("Show Object 2").is_checked()
    with page.expect_download():
        page.locator("#vz-files a").first.click()
    page.get_by_role("button", name="Another clip").click()
    page.wait_for_selector(".vz-shelf button", state="visible")
    page.reload()
    page.wait_for_selector(".vz-shelf button")
    page.wait_for_timeout(500)
    assert not page.locator(".vp-paint").is_visible(), "what was left does not come back"


def test_space_drags_the_enlarged_picture_and_compare_lies_behind_more_models(visitor, clip):
    page = visitor()
    upload(page, clip)
    ready(page)
    x, y = at(page, 48, 32)
    page.mouse.move(x, y)
    page.locator(".vp-in").click()
    page.locator(".vp-in").click()
    page.mouse.move(x, y)
    before = page.locator(".vp-paint").bounding_box()
    page.keyboard.down(" ")
    page.mouse.down()
    page.mouse.move(x + 40, y + 20)
    page.mouse.up()
    page.keyboard.up(" ")
    after = page.locator(".vp-paint").bounding_box()
    assert (round(after["x"] - before["x"]), round(after["y"] - before["y"])) == (40, 20)
    assert not painted(page).any() and marked(page) == []
    assert page.locator(".vz-compare").is_visible()  # three models of one's own have no "More models"
    page.evaluate("() => document.querySelector('.vz-models').classList.add('vz-few')")
    assert not page.locator(".vz-compare").is_visible()
