"""Marking on a desk's and on a phone's page, in a browser: loose marks, undo, zoom, the button, the help, what a finger can hit."""

from __future__ import annotations

import demo_page
import numpy as np
import pytest
from demo_page import scene, write_clip, write_mask
from pointing_toy import toy_pointer
from visiting import (
    HEIGHTS,
    at,
    brush,
    circle,
    fingers,
    go_to,
    iou,
    marked,
    painted,
    ready,
    ring,
    slowly,
    stroke,
    wait_for_result,
    wait_in_view,
)

app = demo_page.app()

from studio.limits import Limits  # noqa: E402
from studio.pointing import Answers  # noqa: E402

SIZE, FRAMES = (128, 192), 8
RED = (32, 32)  # the middle of the red square in the first frame; its side is 32 as well
both_sizes = pytest.mark.parametrize("width", list(HEIGHTS))


@pytest.fixture(scope="module")
def clip(place):
    return str(write_clip(place / "clip.mp4", SIZE, FRAMES))


@pytest.fixture(scope="module")
def server(place, choices):
    with demo_page.served(choices, Limits(), place / "files", Answers(toy_pointer())) as address:
        yield address


def ids(page):
    return painted(page, SIZE)


def note(page):
    return page.locator(".vp-note").inner_text()


def wait_for_note(page, words):
    page.wait_for_function("(w) => document.querySelector('.vp-note').textContent.includes(w)", arg=words)


def box(page, selector):
    return page.locator(selector).bounding_box()


# Drawing


@both_sizes
def test_a_loose_ring_becomes_the_object_and_undo_brings_the_ring_back(page):
    truth = scene(SIZE)[1][0] == 1
    brush(page, 1, snap=False)
    stroke(page, ring(*RED, 20), SIZE)
    loose = ids(page)
    assert 0.2 < iou(loose == 1, truth) < 0.6, "as it is drawn"
    page.locator(".vp-undo").click()
    assert not ids(page).any()

    brush(page, 1, snap=True)
    stroke(page, ring(*RED, 20), SIZE)
    wait_for_note(page, "Fitted to the object")
    ready(page)
    assert iou(ids(page) == 1, truth) > 0.85
    page.locator(".vp-undo").click()
    drawing = ids(page)
    assert iou(drawing == 1, truth) < 0.6 and iou(drawing == 1, loose == 1) > 0.95
    page.locator(".vp-redo").click()
    assert iou(ids(page) == 1, truth) > 0.85


@both_sizes
def test_a_tiny_dot_and_an_open_ring_are_told(page):
    brush(page, 1, snap=True)
    page.locator(".vp-size input").fill("2")
    stroke(page, [(100, 20), (100, 20)], SIZE)
    assert note(page).startswith("This mark is tiny") and 0 < (ids(page) == 1).sum() < 10
    wait_in_view(page, ".vp-note")
    page.locator(".vp-undo").click()

    page.locator(".vp-size input").fill("6")
    stroke(page, ring(*RED, 20, share=0.7), SIZE)
    assert note(page).startswith("The ring is not closed")
    labels = ids(page)
    assert (labels == 1).any() and not labels[RED[1] - 8 : RED[1] + 8, RED[0] - 8 : RED[0] + 8].any()
    stroke(page, ring(*RED, 20), SIZE)
    page.wait_for_function("() => !document.querySelector('.vp-note').textContent.includes('not closed')")
    ready(page)
    assert ids(page)[RED[1], RED[0]] == 1, "a closed one is filled"


@both_sizes
def test_redo_and_the_keys_go_back_and_forth(page):
    states = [ids(page)]
    for k, x in ((1, 40), (2, 120)):
        circle(page, k, x, 60, 14, SIZE)
        states.append(ids(page))
    assert set(np.unique(states[2])) == {0, 1, 2}

    def is_at(k):
        return np.array_equal(ids(page), states[k])

    for key, k in (("Control+z", 1), ("Control+z", 0), ("Control+Shift+z", 1), ("Control+Shift+z", 2), ("Control+z", 1)):
        page.keyboard.press(key)
        assert is_at(k), key
    page.locator(".vp-redo").click()
    assert is_at(2)
    page.locator(".vp-undo").click()
    page.locator(".vp-undo").click()
    assert is_at(0) and marked(page) == [] and page.locator("#vz-go").is_disabled()
    page.locator(".vp-redo").click()
    assert is_at(1) and marked(page) == ["Frame 0, objects 1: show"]


@both_sizes
def test_undo_outlives_clear_and_another_frame(page):
    circle(page, 1, 40, 60, 14, SIZE)
    first = ids(page)
    circle(page, 2, 120, 60, 14, SIZE)
    both = ids(page)
    page.locator(".vp-clear").click()
    page.wait_for_function("() => !document.querySelector('.vp-to')")
    ready(page)
    assert not ids(page).any()
    go_to(page, 4)
    page.locator(".vp-undo").click()
    assert not ids(page).any(), "here nothing was drawn"
    go_to(page, 0)
    page.locator(".vp-undo").click()
    assert np.array_equal(ids(page), both) and marked(page) == ["Frame 0, objects 1, 2: show"]
    page.locator(".vp-undo").click()
    assert np.array_equal(ids(page), first)
    go_to(page, 4)
    go_to(page, 0)
    assert np.array_equal(ids(page), first)
    page.locator(".vp-redo").click()
    assert np.array_equal(ids(page), both)


@both_sizes
def test_the_picture_is_enlarged_and_moved(page, width):
    (x, y), small = at(page, 96, 64, SIZE), box(page, ".vp-paint")
    assert not page.locator(".vp-whole").is_visible()
    for button, times in ((".vp-in", 1.5), (".vp-in", 2.25), (".vp-out", 1.5)):
        page.locator(button).click()
        assert box(page, ".vp-paint")["width"] == pytest.approx(times * small["width"], rel=0.01)
    page.locator(".vp-whole").click()
    assert box(page, ".vp-paint") == small

    if width > 640:
        page.mouse.move(x, y)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -200)
        page.keyboard.up("Control")
    else:
        fingers(page, [(x - 20, y), (x - 40, y), (x - 60, y)], [(x + 20, y), (x + 40, y), (x + 60, y)])
    page.wait_for_function("() => !document.querySelector('.vp-whole').hidden")
    large = box(page, ".vp-paint")
    assert large["width"] == pytest.approx((2.718 if width > 640 else 3) * small["width"], rel=0.02)

    if width > 640:
        page.keyboard.down(" ")
        page.mouse.down()
        page.mouse.move(x + 40, y + 20)
        page.mouse.up()
        page.keyboard.up(" ")
    else:
        fingers(page, [(x - 20, y), (x, y + 10), (x + 20, y + 20)], [(x + 20, y), (x + 40, y + 10), (x + 60, y + 20)])
    moved = box(page, ".vp-paint")
    assert (moved["x"] - large["x"], moved["y"] - large["y"]) == pytest.approx((40, 20), abs=1.5)
    assert moved["width"] == pytest.approx(large["width"], rel=0.01)
    assert not ids(page).any() and marked(page) == [], "that was no drawing"

    brush(page, 1)
    window = box(page, ".vp-stage")
    assert window["width"] < moved["width"]
    stroke(page, ring(96 - 40 / moved["width"] * SIZE[1], 64 - 20 / moved["height"] * SIZE[0], 8), SIZE)
    ys, xs = np.nonzero(ids(page) == 1)
    wanted = 96 - 40 / moved["width"] * SIZE[1], 64 - 20 / moved["height"] * SIZE[0]
    assert (xs.mean() + 0.5, ys.mean() + 0.5) == pytest.approx(wanted, abs=1.5), "what is drawn lies where the pointer is"


@both_sizes
def test_marked_frames_are_dots_on_the_slider(page):
    assert page.locator(".vp-dots i").count() == 0
    for frame in (0, 5):
        go_to(page, frame)
        circle(page, 1, 60, 60, 14, SIZE)
    dots = [each.bounding_box() for each in page.locator(".vp-dots i").all()]
    slider = box(page, ".vp-range")
    assert len(dots) == 2
    for frame, dot in zip((0, 5), dots, strict=True):
        place = slider["x"] + 8 + (slider["width"] - 16) * frame / (FRAMES - 1)  # of the knob, which is 16 wide
        assert dot["x"] + dot["width"] / 2 == pytest.approx(place, abs=3)
        assert slider["y"] <= dot["y"] and dot["y"] + dot["height"] <= slider["y"] + slider["height"]
    page.locator(".vp-drop").first.click()
    page.wait_for_function("() => document.querySelectorAll('.vp-dots i').length === 1")


@both_sizes
def test_the_help_opens_and_closes(page):
    sheet = page.locator(".vp-sheet")
    assert not sheet.is_visible()
    page.locator(".vp-help").click()
    wait_in_view(page, ".vp-sheet")
    assert "undo, do it again" in sheet.inner_text()
    page.locator(".vp-sheet button").click()
    assert not sheet.is_visible()
    page.locator(".vp-paint").focus()
    page.keyboard.press("?")
    wait_in_view(page, ".vp-sheet button")
    page.keyboard.press("Escape")
    assert not sheet.is_visible() and marked(page) == []


@both_sizes
def test_everything_to_press_is_large_enough(page, width):
    least = 44 if width < 640 else 36  # a finger needs more than a mouse
    circle(page, 1, 60, 60, 14, SIZE)
    page.locator(".vp-in").click()
    small = []
    for selector in (".vp button:not(.vp-sheet *)", ".vp-object", ".vp-fill", ".vp-snap", ".vp-range"):
        for each in page.locator(selector).all():
            if each.is_visible() and (of := each.bounding_box()):
                enough = least if selector not in (".vp-fill", ".vp-snap") or width < 640 else 18
                small += [(selector, each.inner_text(), of)] * (min(of["width"], of["height"]) < enough - 0.01)
    assert small == []
    page.locator(".vp-help").click()
    close = box(page, ".vp-sheet button")
    assert min(close["width"], close["height"]) >= least


@both_sizes
def test_the_models_are_one_tab_stop(page):
    assert page.locator(".vz-models input[type=radio]").count() == 3
    page.locator(".vz-models input[type=radio]:checked").focus()
    for key in ("Tab", "Shift+Tab"):
        page.keyboard.press(key)
        assert page.evaluate("() => !document.activeElement.closest('.vz-models') && document.activeElement !== document.body"), key
        page.locator(".vz-models input[type=radio]:checked").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".vz-models input[type=radio]").nth(1).is_checked()
    ready(page)


@both_sizes
def test_a_reload_finds_what_was_drawn(page):
    circle(page, 1, 40, 60, 14, SIZE)
    go_to(page, 3)
    circle(page, 2, 120, 60, 14, SIZE)
    late = ids(page)
    page.reload()
    ready(page)
    assert marked(page) == ["Frame 0, objects 1: show", "Frame 3, objects 2: show"] and np.array_equal(ids(page), late)
    assert page.locator("#vz-go").is_enabled() and page.locator(".vp-now").inner_text().endswith("frame 3")


# The button


@both_sizes
def test_the_button_says_why_it_waits_and_is_in_view_once_something_is_marked(page, width):
    assert page.locator("#vz-go").is_disabled() and page.evaluate("() => scrollY") == 0
    for selector in ("#vz-go", ".vp-why"):
        wait_in_view(page, selector)
    assert page.locator(".vp-why").inner_text() == "First click on an object in the picture."
    button, why = box(page, "#vz-go"), box(page, ".vp-why")
    assert abs(why["x"] - button["x"]) < 10 and 0 <= why["y"] - button["y"] - button["height"] < 20, "beside it"

    circle(page, 1, 60, 60, 14, SIZE)
    assert page.locator("#vz-go").is_enabled() and page.locator(".vp-why").inner_text() == ""
    most = page.evaluate("() => document.documentElement.scrollHeight - innerHeight")
    for far in (0, most / 2, most) if width < 640 else (0,):
        page.evaluate("(y) => scrollTo(0, y)", far)
        wait_in_view(page, "#vz-go")
    assert width > 640 or most > 100, "there was something to scroll"


@both_sizes
def test_nothing_goes_blank_when_the_button_is_pressed(page, width, monkeypatch):
    circle(page, 1, 60, 60, 14, SIZE)
    if width < 640:
        page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    with slowly(monkeypatch, 0.3):
        page.locator("#vz-go").click()
        page.wait_for_selector("#vz-mark.vz-folded")
        page.wait_for_selector(".vz-live")
        wait_in_view(page, "#vz-status .vz-bar")
        wait_in_view(page, "#vz-cancel")
        page.locator("#vz-cancel").click()
        page.wait_for_selector("#vz-status .vz-done")
    wait_in_view(page, "#vz-status .vz-done h2")
    assert box(page, ".vl-stage")["y"] < HEIGHTS[width], "the result begins in view"


@both_sizes
def test_what_is_wrong_with_a_mask_is_told_at_the_picture(page, place):
    page.locator("button", has_text="Upload masks instead").click()
    page.set_input_files("#vz-mark input[type=file]", write_mask(place / "square.png", np.ones((50, 50), np.uint8)))
    wait_for_note(page, "square.png is 50 x 50 pixels and the clip 192 x 128, another shape")
    wait_in_view(page, ".vp-note")
    picture, told = box(page, ".vp-stage"), box(page, ".vp-note")
    assert 0 <= told["y"] - picture["y"] - picture["height"] < 100, "below the picture"
    assert page.locator("#vz-go").is_disabled()

    page.wait_for_function("() => document.querySelector('#vz-mark input[type=file]')")
    page.set_input_files("#vz-mark input[type=file]", write_mask(place / "fits.png", scene(SIZE)[1][0]))
    wait_for_note(page, "Taken over")
    assert marked(page) == ["Frame 0, objects 1, 2: show"], "and another one is taken after it"


@both_sizes
def test_a_run_that_fails_says_so_at_the_picture(page, monkeypatch):
    from studio import desk

    import vos_zoo

    def failing(*arguments, **options):
        raise vos_zoo.MaskError("the mask of object 1 is empty")

    circle(page, 1, 60, 60, 14, SIZE)
    before = ids(page)
    with monkeypatch.context() as patch:
        patch.setattr(desk, "follow", failing)
        page.locator("#vz-go").click()
        wait_for_note(page, "The mask of object 1 is empty.")
        wait_in_view(page, ".vp-note")
        wait_in_view(page, "#vz-go")
    assert np.array_equal(ids(page), before)
    page.locator("#vz-go").click()
    wait_for_result(page)
