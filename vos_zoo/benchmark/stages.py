"""What is timed: the whole way from a file to masks, and each stretch of it by itself.

A stage gets a segmenter, a clip, and that clip as an mp4 file, and gives a function that does its part for all frames once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vos_zoo.benchmark.synthetic import Size, SyntheticClip
from vos_zoo.engine.inputs import InputSize, InputSpec
from vos_zoo.engine.redetection import FRAMES_PER_LOOK, RedetectionState, Redetector
from vos_zoo.engine.views import Branch
from vos_zoo.errors import EvaluationError
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.models.base import State
from vos_zoo.videos.video import open_video


class Measurable(Protocol):
    """What is used of a Segmenter, and through it of the model's contract."""

    @property
    def config(self) -> Any: ...
    @property
    def model(self) -> Any: ...
    @property
    def device(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def precision(self) -> str: ...
    @property
    def runtime(self) -> str: ...
    def info(self) -> dict[str, Any]: ...
    def grid_for(self, video: Size, size: InputSize) -> Any: ...
    @property
    def inference_model(self) -> Any: ...
    def input_spec(self, size: InputSize) -> InputSpec: ...
    def branches_for(self, video: Size, spec: InputSpec) -> list[Branch]: ...
    def redetector_for(self, branches: Sequence[Branch], video: Size) -> Redetector | None: ...
    @property
    def stream(self) -> Callable[..., Any]: ...
    @property
    def propagate(self) -> Callable[..., Any]: ...


# A segmenter, a clip, its mp4 file and the size inside the model -> one run of all frames.
Stage = Callable[[Measurable, SyntheticClip, Path, InputSize], Callable[[], Any]]


def first_mask(segmenter: Measurable, clip: SyntheticClip) -> np.ndarray | None:
    """What `propagate` gets: nothing where the model finds the objects itself."""
    return None if getattr(segmenter.model, "finds_objects", False) else clip.first_mask


def started(segmenter: Measurable, clip: SyntheticClip, inside: InputSize) -> tuple[list[Any], Any]:
    """The clip's frames on the device and the model's grid, and the first State. In inference mode."""
    model, device, grid = segmenter.inference_model, segmenter.device, segmenter.grid_for(clip.size, inside)
    frames = [grid.frame(frame, device) for frame in clip]
    given = first_mask(segmenter, clip)
    layers = None if given is None else grid.masks(given == np.arange(1, clip.objects + 1)[:, None, None], device)
    return frames, model.start(model.encode(frames[0]), layers, None)


def _end_to_end(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    mask = first_mask(segmenter, clip)
    return lambda: segmenter.propagate(video, mask, size=inside, progress=False)


def _latency(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    mask = first_mask(segmenter, clip)
    return lambda: segmenter.propagate(video, mask, size=inside, mode="latency", progress=False)


def _loop(*, channels_last: bool = False, half: bool = False, fold: bool = False) -> Stage:
    """The plain loop with some of what the fast path does: the model's layout, precision and folding; the frames' way is the plain one."""

    def stage(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
        import torch

        model = copy.deepcopy(segmenter.inference_model if fold else segmenter.model)
        device, grid = segmenter.device, segmenter.grid_for(clip.size, inside)
        model.to(segmenter.dtype if half else torch.float32)
        model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        given = first_mask(segmenter, clip)
        layers = None if given is None else grid.masks(given == np.arange(1, clip.objects + 1)[:, None, None], device)

        def run() -> MaskSequence:
            sequence, state = MaskSequence(clip.size, range(1, clip.objects + 1)), None
            with open_video(video) as opened:
                for frame in opened:
                    features = model.encode(grid.frame(frame, device))
                    state = model.start(features, layers, None) if state is None else state
                    probs, state = model.step(features, state)
                    sequence.append(grid.slots(probs).cpu().numpy())
            return sequence

        return run

    return stage


def _model_only(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    frames, first = started(segmenter, clip, inside)

    def run() -> None:
        state = first
        for frame in frames:
            _, state = segmenter.inference_model.step(segmenter.inference_model.encode(frame), state)

    return run


def _decode(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    def run() -> None:
        with open_video(video) as opened:
            for _ in opened:
                pass

    return run


def _copy_in(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    grid, frames = segmenter.grid_for(clip.size, inside), list(clip)

    def run() -> None:
        for frame in frames:
            grid.frame(frame, segmenter.device)

    return run


def _encode(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    frames, _ = started(segmenter, clip, inside)

    def run() -> None:
        for frame in frames:
            segmenter.inference_model.encode(frame)

    return run


def _step(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    frames, first = started(segmenter, clip, inside)
    features = segmenter.inference_model.encode(frames[-1])

    def run() -> None:
        state = first
        for _ in frames:
            _, state = segmenter.inference_model.step(features, state)

    return run


def _redetection(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    pixels, mask, branches = list(clip), first_mask(segmenter, clip), segmenter.branches_for(clip.size, segmenter.input_spec(inside))
    redetector = None if mask is None else segmenter.redetector_for(branches, clip.size)
    if mask is None or redetector is None:
        return lambda: None
    (branch,) = branches
    layers, given = mask == np.arange(1, clip.objects + 1)[:, None, None], [True] * clip.objects
    features = branch.model.encode(branch.images(pixels[:1]))
    first = branch.annotate(None, pixels[0], layers, given, features)
    remembered = redetector.remember(RedetectionState(), pixels[0], [features], layers, given)
    probs, after = branch.model.step(features, first)

    def run() -> None:
        states: tuple[State, ...] = (after,)
        state = remembered
        for number, frame in enumerate(pixels, 1):
            _, states, state = redetector.check(state, number, frame, [features], states, probs)

    return run


def _copy_out(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    frames, first = started(segmenter, clip, inside)
    grid = segmenter.grid_for(clip.size, inside)
    probs, _ = segmenter.inference_model.step(segmenter.inference_model.encode(frames[-1]), first)

    def run() -> None:
        for _ in frames:
            grid.slots(probs).cpu()

    return run


def _compress(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    def run() -> None:
        sequence = MaskSequence(clip.size, range(1, clip.objects + 1))
        for _ in range(len(clip)):
            sequence.append(clip.first_mask)

    return run


# A further stage is one more entry.
STAGES: dict[str, tuple[str, Stage]] = {
    "model only": ("encode and step of frames that lie on the device, on the model's grid", _model_only),
    "end to end": ("propagate: an mp4 file in, compressed masks out", _end_to_end),
    "latency": ("propagate in latency mode: each frame is read when the mask before it is done", _latency),
    "plain loop": ("the same work without the fast path: float32, batch norms as they are, one thing after another", _loop()),
    "+ channels last": ("the plain loop, tensors in the layout that convolutions are fast in", _loop(channels_last=True)),
    "+ half precision": ("and in the precision that is the device's default", _loop(channels_last=True, half=True)),
    "+ folded": ("and with batch norms merged into the convolutions", _loop(channels_last=True, half=True, fold=True)),
    "decode": ("frames of the mp4 file as arrays", _decode),
    "copy in": ("an array to the device and the model's grid: resized, padded", _copy_in),
    "encode": ("what all objects of a frame share", _encode),
    "step": ("what is done for each object, and the next state", _step),
    "redetection": (f"whether what is followed still looks as it was annotated, once in {FRAMES_PER_LOOK} frames", _redetection),
    "copy out": ("probabilities to a map of ids at the video's size, in main memory", _copy_out),
    "compress": ("a map of ids into a MaskSequence (of discs: real outlines take longer)", _compress),
}
USUAL = ("model only", "end to end")


def chosen_stages(names: list[str]) -> list[str]:
    """The stages of those names, or all of them for ["all"]. EvaluationError names one that there is not."""
    if names == ["all"]:
        return list(STAGES)
    for name in names:
        if name not in STAGES:
            raise EvaluationError(f"there is no stage {name!r}; there are: all, {', '.join(STAGES)}")
    return names
