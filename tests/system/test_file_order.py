"""One order of files: numbers as numbers, decimals as decimals, and a word where somebody might see it otherwise."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest

from vos_zoo.errors import VosZooWarning
from vos_zoo.system.file_order import in_order, natural_key, order_in_doubt, told_order

CLEAR = {
    "no padding": ["1.png", "2.png", "10.png", "100.png"],
    "padding that ends": ["frame_008.png", "frame_009.png", "frame_010.png", "frame_1000.png"],
    "upper case": ["img1.PNG", "IMG2.png", "img3.Jpg", "Img10.JPG"],
    "decimals after =": ["t=0.04.png", "t=0.2.png", "t=0.25.png", "t=1.png", "t=10.5.png"],
    "decimals with a zero": ["0.04.png", "0.2.png", "0.3.png", "1.0.png"],
    "decimal commas": ["s0,04.png", "s0,2.png", "s1,5.png"],
    "exponents": ["t=1e-05.tif", "t=0.0001.tif", "t=0.02.tif", "t=1.tif"],
    "negative": ["z=-10.tif", "z=-2.tif", "z=0.tif", "z=3.tif"],
    "parted numbers": ["shot1.8.png", "shot1.9.png", "shot1.10.png", "shot1.11.png"],
    "several numbers": ["cam1_f9.png", "cam1_f10.png", "cam2_f1.png", "cam10_f1.png"],
    "dates": ["2024-01-05T09.59.59.png", "2024-01-05T10.00.00.png", "2024-02-01T00.00.00.png"],
    "dotted dates": ["2024.1.5.png", "2024.1.10.png", "2024.10.1.png"],
    "one date": ["2.1.2024_9.png", "2.1.2024_10.png"],
    "words that end in am": ["program9.png", "program10.png"],
    "letters": ["a.png", "b.png", "C.png"],
    "composed and not": ["sc\u00e8ne1.png", "sce\u0300ne2.png", "sc\u00e8ne10.png"],
    "Arabic digits": ["\u0661.png", "\u0669.png", "\u0661\u0660.png"],
}


@pytest.mark.parametrize("kind", CLEAR)
def test_a_clear_order_is_taken_and_nothing_said(kind: str) -> None:
    names = CLEAR[kind]
    shuffled = random.Random(5).sample(names, len(names))
    assert in_order(shuffled) == names
    assert in_order([Path("/clips/bear", name) for name in shuffled]) == [Path("/clips/bear", name) for name in names]
    assert order_in_doubt(shuffled) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told_order(shuffled, "the folder bear") == names


DOUBTFUL = {
    "decimals or not": (["1.25.png", "1.5.png", "1.75.png"], "1.25 could be a decimal, or the numbers 1 and 25; taken as 1.25.png"),
    "two prefixes": (["DSC_2.png", "IMG_1.png"], "their names are of 2 patterns (as DSC_2, IMG_1); taken as DSC_2.png, IMG_1.png"),
    "a picture amid frames": (["000.png", "001.png", "cover.png"], "of 2 patterns (as 000, cover)"),
    "words": (["first.png", "second.png", "third.png"], "hold no numbers; taken as first.png, second.png"),
    "hours of half a day": (["at 1.05.07 PM.png", "at 12.05.07 PM.png"], "hours with AM and PM"),
    "hours without minutes": (["clip_9pm.png", "clip_10am.png"], "hours with AM and PM"),
    "the year at the end": (["01-02-2024.png", "12-31-2023.png"], "dates with the year at the end"),
    "the year at the end, dots": (["1.12.2023.png", "2.11.2023.png"], "dates with the year at the end"),
    "the same number": (["01.png", "1.png", "2.png"], "01 and 1 have the same number"),
}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_an_order_in_doubt_is_told_with_the_first_names(kind: str) -> None:
    names, message = DOUBTFUL[kind]
    assert in_order(reversed(names)) == names
    assert message in order_in_doubt(names)
    with pytest.warns(VosZooWarning, match="the folder bear: the order of its files is in doubt"):
        told_order(names, "the folder bear")


def test_folders_come_before_names() -> None:
    members = ["masks/clip2/1.png", "masks/clip2/10.png", "masks/clip10/2.png", "masks/clip10/3.png"]
    assert in_order(reversed(members)) == members


def test_any_name_can_be_sorted() -> None:
    letters = ["1", "01", ".", ",", "-", "=", "e", "e-5", "a", "\u00b2", "\u0663", "9" * 5000, " ", "%"]
    draw = random.Random(7)
    names = ["".join(draw.choices(letters, k=draw.randint(1, 6))) for _ in range(2000)]
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)
    assert sorted(in_order(names)) == sorted(names)
    order_in_doubt(names)


def test_few_files_are_never_in_doubt() -> None:
    assert order_in_doubt([]) == order_in_doubt(["picture.png"]) == ""
