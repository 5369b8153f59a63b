"""vos-zoo frame; and masks that are given by position, or swapped with their video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from many_clips import frames, write_frames, write_mask, write_video
from PIL import Image

from vos_zoo.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_frame_as_an_image(capsys):
    write_frames(Path("bear"), 4)
    assert main(["frame", "bear", "--at", "2", "--out", "third.png"]) == 0 and capsys.readouterr().out == "third.png\n"
    assert np.array_equal(np.asarray(Image.open("third.png")), frames(4)[2])
    assert main(["frame", "bear"]) == 0 and Path("bear_00000.png").is_file()
    assert main(["frame", "bear", "--out", "first.JPG"]) == 0 and Image.open("first.JPG").format == "JPEG"


def test_a_time_in_a_video():
    write_video(Path("bear.mp4"), 4)
    assert main(["frame", "bear.mp4", "--at", "0.2s"]) == 0 and Path("bear_00002.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "9"], "bear has 4 frames, 0 to 3; there is no frame 9: choose another --at"),
        (["--out", "a.txt"], "a.txt has no suffix of an image: choose one of .png"),
        (["--out", "taken.png"], "taken.png is there already: choose another --out, or add --overwrite"),
        (["--at", "1s"], "does not say how many frames a second it has"),
    ],
)
def test_what_can_not_be(capsys, arguments, message):
    write_frames(Path("bear"), 4)
    Path("taken.png").write_bytes(b"mine")
    assert main(["frame", "bear", *arguments]) == 2 and message in capsys.readouterr().err
    assert Path("taken.png").read_bytes() == b"mine"


@pytest.mark.parametrize("at", ["-1", "soon", "1.5", "nans", "²", "1e99s", ""])
def test_moments_that_are_none(capsys, at):
    with pytest.raises(SystemExit):
        main(["frame", "bear", f"--at={at}"])
    assert "is neither the number of a frame, from 0, nor a time such as 2.5s" in capsys.readouterr().err


def test_a_mask_by_position(monkeypatch):
    class Asked(Exception):
        pass

    def opened(args):
        raise Asked(f"{args.video} {args.mask}")

    monkeypatch.setattr("vos_zoo.commands.propagate._opened", opened)
    write_video(Path("bear.mp4"))
    write_mask(Path("bear.png"))
    with pytest.raises(Asked, match=r"^bear\.mp4 bear\.png$"):
        main(["propagate", "bear.mp4", "bear.png"])


@pytest.mark.parametrize("arguments", [["bear.png", "bear.mp4"], ["bear.png", "--mask", "bear.mp4"], ["bear.png", "frames"]])
def test_swapped_arguments_are_recognised(capsys, arguments):
    write_mask(Path("bear.png"))
    write_frames(Path("frames"))
    Path("bear.mp4").write_bytes(b"x")
    assert main(["propagate", *arguments]) == 2
    other = arguments[-1]
    assert f"were they swapped? vos-zoo propagate {other} --mask bear.png" in capsys.readouterr().err


def test_two_masks(capsys):
    assert main(["propagate", "bear.mp4", "a.png", "--mask", "b.png"]) == 2
    assert "two first masks are given, a.png and b.png: leave one out" in capsys.readouterr().err
