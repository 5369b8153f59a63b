"""What the tests of the page begin with: small models, a clip, and for those that visit it chromium."""

from __future__ import annotations

import tempfile

import demo_page
import pytest


@pytest.fixture(scope="module", autouse=True)
def downloads(tmp_path_factory):
    """Gradio's client leaves an empty folder among the temporary files for every file that it fetches: here they go with the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("downloads")))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of the test file's own."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def models(place):
    return demo_page.save_models(place / "models")


@pytest.fixture(scope="module")
def choices(models):
    from studio.choices import Choices

    return Choices(list(models.values()))


@pytest.fixture(scope="module")
def one(choices, models):
    return choices.segmenter(models["one"])


@pytest.fixture(scope="module")
def clip(place):
    return str(demo_page.write_clip(place / "clip.mp4"))


@pytest.fixture(scope="module")
def browser():
    from visiting import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, server, clip, width):
    """The page at a width, with the clip. Afterwards: nothing was asked of another machine, and no script failed."""
    from visiting import of_size

    page = of_size(browser, server, clip, width)
    yield page
    page.context.close()
    assert page.failed == [] and page.foreign == []
