"""What comes of marking, on a desk's and on a phone's page, in a browser: corrections, late objects, the player, names, backgrounds."""

from __future__ import annotations

import itertools
import json
import time

import av
import demo_page
import numpy as np
import pytest
from demo_page import FRAMES, SIZE, scene
from PIL import Image
from scipy.ndimage import binary_fill_holes
from visiting import (
    HEIGHTS,
    brush,
    circle,
    go_to,
    marked,
    painted,
    pixels,
    ready,
    start,
    stroke,
    take_masks,
    wait_for_result,
    wait_in_view,
)

import vos_zoo

app = demo_page.app()

from studio import desk, drawing, follow  # noqa: E402
from studio.limits import Limits  # noqa: E402
from studio.marks import decode_runs  # noqa: E402

both_sizes = pytest.mark.parametrize("width", list(HEIGHTS))


@pytest.fixture(scope="module")
def server(place, choices):
    with demo_page.served(choices, Limits(), place / "files") as address:
        yield address


def follow_two(page):
    """Both objects are circled on frame 0 and followed. Returns what was drawn."""
    circle(page, 1, 20, 16, 10)
    circle(page, 2, 60, 40, 14)
    labels = painted(page)
    start(page)
    wait_for_result(page)
    return labels


def show_in_player(page, frame):
    page.locator(".vl-strip button").nth(frame).click()
    page.wait_for_function("(f) => document.querySelector('.vl-now').textContent.endsWith(`frame ${f}`)", arg=frame)


def correct(page, frame):
    show_in_player(page, frame)
    page.locator(".vl-correct").click()
    page.wait_for_function("(f) => document.querySelector('.vp-now').textContent.endsWith(`frame ${f}`)", arg=frame)
    ready(page)


def shown(page, size=SIZE):
    return pixels(page, ".vl-canvas", size)[..., :3]


def shown_when(page, expected, seconds=10):
    """What the player shows as soon as it is as expected, a test of the picture; after so many seconds whatever it shows."""
    end = time.monotonic() + seconds
    while not expected(picture := shown(page)) and time.monotonic() < end:
        page.wait_for_timeout(50)
    return picture


HALF = 130  # the opacity of what is coloured; its outline has all


def opacities(page):
    return set(np.unique(pixels(page, ".vp-paint")[..., 3]))


def drawn(page):
    """Ids (H, W) as the page keeps them, without the outline of the result; and which objects were touched."""
    kept = json.loads(page.evaluate("() => sessionStorage.getItem('vos-zoo-visit')"))["drawing"]
    return decode_runs(kept["runs"], *SIZE), kept["touched"]


def is_near(picture, other, where=...):
    """Whether a picture from a video and one from an array show the same."""
    return np.abs(picture[where].astype(int) - other[where].astype(int)).mean() < 14


# Marking, corrections


@both_sizes
def test_correcting_changes_what_is_touched_and_keeps_the_rest(page, clip, one, tmp_path):
    first = follow_two(page)
    given = {0: {1: first == 1, 2: first == 2}}
    before = take_masks(page, tmp_path)
    correct(page, 5)
    wait_in_view(page, ".vp-stage")
    assert np.array_equal(painted(page), before[5]) and (before[5] == 1).any(), "it begins with the result"

    brush(page, 1)
    stroke(page, [(70, 10), (80, 10)])
    more = painted(page)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    assert (more == 1)[8:12, 70:80].all() and (before[5] != 1)[8:12, 70:80].any(), "the brush adds"
    away = (np.abs(y - 10) > 6) | (x < 64) | (x > 86)
    ringed = binary_fill_holes((before[5] == 1) | ~away)  # a ring that the stroke closes is filled; what was found may run around it
    assert np.array_equal(more[away & ~ringed], before[5][away & ~ringed]) and (more[more != before[5]] == 1).all()
    page.locator(".vp-eraser").click()
    stroke(page, [(80, 10), (80, 10)])
    less, touched = drawn(page)
    taken = less != more
    assert taken[8:12, 78:82].all() and not (less[taken] > 0).any() and (more[taken] == 1).all(), "the eraser takes"
    assert (pixels(page, ".vp-paint")[8:12, 78:82, 3] != HALF).all()
    assert not taken[np.hypot(x - 80, y - 10) > 6].any() and (less == 1)[8:12, 70:74].all()

    page.evaluate("() => { document.querySelector('#vz-status .vz-done').dataset.before = 1; }")
    start(page)
    page.wait_for_selector("#vz-status .vz-done:not([data-before])")
    wait_for_result(page)
    masks = take_masks(page, tmp_path)
    assert np.array_equal(masks[5] == 1, less == 1), "it is followed as it was corrected"
    assert masks == one.propagate(clip, masks={**given, 5: {k: less == k for k in touched}})


@both_sizes
def test_start_empty_empties_and_the_result_can_be_had_again(page):
    follow_two(page)
    correct(page, 5)
    result = painted(page)
    assert HALF in opacities(page) and page.locator(".vp-use").inner_text() == "Start empty"
    page.locator(".vp-use").click()
    assert opacities(page) == {0, 255}, "only a dashed outline stays"
    assert len(marked(page)) == 1, "what is not drawn is not marked"
    page.locator(".vp-use").click()
    assert np.array_equal(painted(page), result) and page.locator(".vp-use").inner_text() == "Start empty"


@both_sizes
def test_late_objects_are_followed_back_to_the_beginning(page, clip, one, tmp_path):
    go_to(page, 3)
    circle(page, 1, 26, 16, 10)
    first = painted(page) == 1
    go_to(page, 5)
    circle(page, 2, 64, 40, 12)
    second = painted(page) == 2
    assert marked(page) == ["Frame 3, objects 1: show", "Frame 5, objects 2: show"]
    back = page.get_by_label("Also follow back to the beginning")
    back.check()
    assert back.is_checked()
    start(page)
    wait_for_result(page)
    masks = take_masks(page, tmp_path)
    assert len(masks) == FRAMES
    assert all((masks[t] == 1).any() for t in range(3)) and all((masks[t] == 2).any() for t in range(5)), "before their first marks"
    assert np.array_equal(masks[3] == 1, first) and np.array_equal(masks[5] == 2, second)
    assert masks == one.propagate(clip, masks={3: {1: first}, 5: {2: second}}, direction="both")


# The player


@both_sizes
def test_the_overlay_opens_whole_and_is_wiped_and_shown_side_by_side(page, clip, width, tmp_path):
    follow_two(page)
    wait_in_view(page, "#vz-status .vz-done h2")
    masks, original = take_masks(page, tmp_path), next(iter(vos_zoo.open_video(clip)))
    overlay = drawing.tint(original, masks[0])
    inside = {k: masks[0] == k for k in (1, 2)}
    picture = shown_when(page, lambda picture: is_near(picture, overlay, inside[1]))  # a player decodes its first frame by and by
    assert all(is_near(picture, overlay, where) and not is_near(picture, original, where) for where in inside.values()), "whole"
    assert is_near(picture, overlay)

    page.locator(".vl-stage").scroll_into_view_if_needed()
    stage = page.locator(".vl-stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    page.touchscreen.tap(x, y) if width < 640 else page.mouse.click(x, y)
    page.wait_for_function("() => Math.abs(document.querySelector('.vl-divider').value - 50) < 3")
    picture, left = shown(page), np.arange(SIZE[1]) < SIZE[1] // 2 - 4
    right = np.arange(SIZE[1]) > SIZE[1] // 2 + 4
    assert is_near(picture, original, inside[1] & left) and not is_near(picture, overlay, inside[1] & left)
    assert is_near(picture, overlay, inside[2] & right) and not is_near(picture, original, inside[2] & right)

    page.locator(".vl-beside").click()
    assert page.locator(".vl-beside").get_attribute("aria-pressed") == "true" and not page.locator(".vl-line").is_visible()
    both = shown(page, (SIZE[0], 2 * SIZE[1]))
    assert is_near(both[:, : SIZE[1]], original) and is_near(both[:, SIZE[1] :], overlay)
    for where in inside.values():
        assert is_near(both[:, : SIZE[1]], original, where) and is_near(both[:, SIZE[1] :], overlay, where)
    names = [page.locator(f".vl-name-{side}").inner_text() for side in ("left", "right")]
    assert names == ["Original", "one"]
    page.locator(".vl-stage").scroll_into_view_if_needed()
    wait_in_view(page, ".vl-canvas")
    page.locator(".vl-beside").click()
    assert shown(page).shape == (*SIZE, 3)


@both_sizes
def test_a_stretch_where_an_object_is_lost_is_a_link_to_it(page, monkeypatch):
    def losing(*arguments, **options):
        for step in follow.follow(*arguments, **options):
            if isinstance(step, follow.Outcome):
                for masks, t in itertools.product(step.masks, range(FRAMES)):
                    masks.set(t, np.where(masks[t] == 1, 0, masks[t]) if t in (3, 4) else masks[t], lost=[1] if t in (3, 4) else [])
            yield step

    monkeypatch.setattr(desk, "follow", losing)
    follow_two(page)
    link = page.locator("#vz-status .vz-link")
    assert link.count() == 1 and link.inner_text() == "0.3 to 0.5 s"
    assert "Object 1: lost 0.3 to 0.5 s" in page.locator("#vz-status .vz-done").inner_text()
    assert page.locator(".vl-now").inner_text().endswith("frame 0")
    link.click()
    page.wait_for_function("() => document.querySelector('.vl-now').textContent === '0.30 s · frame 3'")
    wait_in_view(page, ".vl-stage")
    correct(page, 3)
    assert set(np.unique(painted(page))) == {0, 2}


@both_sizes
def test_objects_have_names_and_colours_and_can_be_hidden(page):
    labels = follow_two(page)
    before = shown(page)
    page.get_by_label("Name of object 1").fill("Red fish")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelector('.vz-keys').innerText.includes('Red fish')")
    assert page.locator(".vp-object input[value='1']").count() == 1

    page.get_by_label("Colour of Red fish").fill("#00ff00")
    page.wait_for_function("() => document.querySelector('.vz-keys i').style.background === 'rgb(0, 255, 0)'")
    green = shown_when(page, lambda picture: (picture - before)[labels == 1].mean(0)[1] > 25)
    assert (green - before)[labels == 1].mean(0)[1] > 25 and np.abs(green - before)[labels == 2].mean() < 10

    page.get_by_label("Show Object 2").uncheck()
    page.wait_for_selector(".vl-hidden")
    gone = shown_when(page, lambda picture: np.abs(picture - green)[labels == 2].mean() > 25)
    assert np.abs(gone - green)[labels == 2].mean() > 25 and np.abs(gone - green)[labels == 1].mean() < 10
    page.get_by_label("Show Object 2").check()
    page.wait_for_selector(".vl-hidden", state="detached")
    assert np.abs(shown(page) - green)[labels == 2].mean() < 10


@both_sizes
def test_other_backgrounds_and_a_transparent_video_are_made_and_open(page, place, tmp_path):
    labels = follow_two(page)
    outside = drawing._rim(labels, 6) | (labels > 0)
    page.locator("button", has_text="More: transparent video").click()

    def choose(form):
        page.locator("#vz-form input").click()
        page.get_by_role("option", name=form).click()

    def made(count):
        page.locator("#vz-make").click()
        page.wait_for_function("(n) => document.querySelectorAll('#vz-extras a').length === n", arg=count)
        with page.expect_download() as download:
            page.locator("#vz-extras a").last.click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    path = made(1)
    assert path.suffix == ".webm" and len(list(vos_zoo.open_video(path))) == FRAMES
    assert transparent(path)[~outside].max() < 30 < 200 < transparent(path)[labels > 0].mean()

    choose("Green background")
    frames = list(vos_zoo.open_video(made(2)))
    assert len(frames) == FRAMES and is_near(frames[0], np.broadcast_to(np.uint8([0, 177, 64]), frames[0].shape), ~outside)

    Image.fromarray(np.full((40, 200, 3), (200, 30, 90), np.uint8)).save(place / "wall.png")
    choose("A picture of yours")
    page.wait_for_selector("#vz-result input[type=file]", state="attached")
    page.set_input_files("#vz-result input[type=file]", place / "wall.png")
    page.wait_for_function("() => document.querySelector('#vz-result').innerText.includes('wall.png')")
    frames = list(vos_zoo.open_video(made(3)))
    assert is_near(frames[0], np.broadcast_to(np.uint8([200, 30, 90]), frames[0].shape), ~outside)
    original = scene()[0][0]
    assert is_near(frames[0], original, labels > 0), "the objects are as they were"


def transparent(path):
    """How opaque the first frame of a WebM is, 0 to 255."""
    with av.open(str(path)) as video:
        assert "ALPHA_MODE" in map(str.upper, video.streams.video[0].metadata)
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in video.demux(video=0):
            for frame in decoder.decode(packet):
                return frame.to_ndarray(format="rgba")[..., 3].astype(int)
    raise AssertionError("no frame")
