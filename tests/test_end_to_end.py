"""One answer by every road: Python, the command line, stream and session, chunked and whole, with a real architecture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.cli import main
from vos_zoo.example.clip import render_example
from vos_zoo.masks.palette import davis_palette
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter

FRAMES, SIZE = 9, (50, 70)  # neither side a multiple of the model's stride
IDS = (3, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """clip.mp4, its first mask with two objects, and a small CRVOS with random weights in tiny/, resized inside and in native/, not."""
    place = tmp_path_factory.mktemp("end_to_end")
    clip = render_example(frames=FRAMES, size=SIZE)
    with VideoWriter(place / "clip.mp4", fps=25, size=SIZE) as writer:
        for frame in clip.frames:
            writer.write(frame)
    mask = np.where(clip.masks[0] == 1, IDS[0], 0).astype(np.uint8)
    mask[4:20, 40:60] = IDS[1]
    image = Image.fromarray(mask)
    image.putpalette(davis_palette().tobytes())
    image.save(place / "first.png")
    args = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "reduced": [8, 8, 8], "blended": [8, 8, 8]}
    for name, side in (("resized", 64), ("native", None)):
        torch.manual_seed(8)
        config = ModelConfig(name=name, architecture="CRVOS", model_args=args, preprocess=Preprocess(side))
        made = vos_zoo.create(config, device="cpu", dtype="float32")
        made.model.refine16.blend.weight[:, -5:-3] *= 100  # of the mask before: else random weights forget it within a few frames
        made.save_pretrained(place / name)
    return place


@pytest.fixture(scope="module", params=["resized", "native"])
def model(request, folder):
    return folder / request.param


@pytest.fixture(scope="module")
def segmenter(model):
    return vos_zoo.load(model, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def whole(segmenter, folder):
    """(T, H, W): what `propagate` gives for the file."""
    return np.asarray(segmenter.propagate(folder / "clip.mp4", folder / "first.png"))


def test_the_masks_are_worth_comparing(segmenter, folder, whole):
    """Both objects are in every frame, no two frames are the same, and each depends on the mask that was given."""
    assert whole.shape == (FRAMES, *SIZE) and set(np.unique(whole)) == {0, *IDS}
    assert all((whole == k).any((1, 2)).all() for k in IDS)
    assert len({mask.tobytes() for mask in whole}) == FRAMES
    swapped = np.select([whole[0] == IDS[0], whole[0] == IDS[1]], IDS[::-1]).astype(np.uint8)
    others = np.asarray(segmenter.propagate(folder / "clip.mp4", swapped))
    assert all((mask != other).any() for mask, other in zip(whole, others, strict=True))


def test_a_second_run(segmenter, folder, whole):
    assert np.asarray(segmenter.propagate(folder / "clip.mp4", folder / "first.png")).tobytes() == whole.tobytes()


def test_the_command_line(folder, model, whole, tmp_path, capsys):
    options = ["--model", model, "--device", "cpu", "--dtype", "float32", "--save", "masks", "--out", tmp_path / "out"]
    assert main(list(map(str, ["propagate", folder / "clip.mp4", "--mask", folder / "first.png", *options]))) == 0
    assert np.asarray(vos_zoo.MaskSequence.load(tmp_path / "out" / "masks")).tobytes() == whole.tobytes()


def test_the_command_line_in_a_process_of_its_own(folder, tmp_path):
    """Nothing of this process, its random state for one, has a share in the result."""
    out = tmp_path / "out"
    options = ["--model", "./native", "--device", "cpu", "--dtype", "float32", "--save", "masks", "--out", str(out)]
    command = [sys.executable, "-m", "vos_zoo.cli", "propagate", "clip.mp4", "--mask", "first.png", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(vos_zoo.__file__).parent.parent)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    segmenter = vos_zoo.load(folder / "native", device="cpu", dtype="float32")
    expected = np.asarray(segmenter.propagate(folder / "clip.mp4", folder / "first.png"))
    assert np.asarray(vos_zoo.MaskSequence.load(out / "masks")).tobytes() == expected.tobytes()


def test_stream(segmenter, folder, whole):
    streamed = list(segmenter.stream(folder / "clip.mp4", folder / "first.png"))
    assert [item.index for item in streamed] == list(range(FRAMES))
    assert np.stack([item.mask for item in streamed]).tobytes() == whole.tobytes()


def test_session(segmenter, folder, whole):
    frames = iter(open_video(folder / "clip.mp4"))
    session = segmenter.start(next(frames), folder / "first.png")
    masks = [session.current(), *(session.step(frame) for frame in frames)]
    assert session.object_ids == IDS
    assert np.stack(masks).tobytes() == whole.tobytes()


@pytest.mark.parametrize("cuts", [(1,), (4,), (2, 3, 7)])
def test_a_session_fed_in_chunks(segmenter, folder, whole, cuts):
    """Each chunk is read from the file anew, as a program would do that gets a video piece by piece."""
    video = open_video(folder / "clip.mp4")
    session = segmenter.start(next(video.read(0, 1)), folder / "first.png")
    masks = [session.current()]
    for begin, end in zip((1, *cuts), (*cuts, FRAMES), strict=True):
        masks += [session.step(frame) for frame in video.read(begin, end)]
    assert np.stack(masks).tobytes() == whole.tobytes()


@pytest.mark.parametrize("form", ["array", "list", "generator", "tensor"])
def test_frames_in_memory(segmenter, folder, whole, form):
    frames = np.stack(list(open_video(folder / "clip.mp4")))
    video = {"array": frames, "list": list(frames), "generator": (frame for frame in frames), "tensor": torch.from_numpy(frames)}[form]
    assert np.asarray(segmenter.propagate(video, folder / "first.png")).tobytes() == whole.tobytes()


def test_stopped_and_whole(segmenter, folder, whole):
    """What is done when `stop` says so is the beginning of the whole."""
    done = 0

    def stop() -> bool:
        nonlocal done
        done += 1
        return done == 5

    masks = segmenter.propagate(folder / "clip.mp4", folder / "first.png", stop=stop)
    assert np.asarray(masks)[masks.computed].tobytes() == whole[:5].tobytes()


def test_under_the_names_that_hub_users_know(model, segmenter, tmp_path):
    assert segmenter.save_pretrained(tmp_path / "again") == tmp_path / "again"
    again = vos_zoo.Segmenter.from_pretrained(tmp_path / "again", device="cpu", dtype="float32")
    weights = again.model.state_dict()
    assert again.info() == segmenter.info()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in segmenter.model.state_dict().items())


def test_two_videos_at_once(segmenter, folder, whole):
    """Streams that take turns on one model do not see each other."""
    first = segmenter.stream(folder / "clip.mp4", folder / "first.png")
    mirrored = [frame[:, ::-1] for frame in open_video(folder / "clip.mp4")]
    other = segmenter.stream(mirrored, {1: whole[0][:, ::-1] > 0})
    masks = [item.mask for item, _ in zip(first, other, strict=True)]
    assert np.stack(masks).tobytes() == whole.tobytes()


def test_saved_masks_are_those_in_memory(segmenter, folder, whole, tmp_path):
    masks = segmenter.propagate(folder / "clip.mp4", folder / "first.png")
    assert masks.save(tmp_path / "masks") == tmp_path / "masks"
    assert vos_zoo.MaskSequence.load(tmp_path / "masks") == masks
