"""Segmenter: a model with its config, ready for videos. Frames, ids, sizes, devices; no model's internals."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import numpy as np
import torch

from vos_zoo.checkpoints.build import check_follows, trained
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.save import save
from vos_zoo.checkpoints.sources import Source, find_one
from vos_zoo.engine.appearance import Appearance
from vos_zoo.engine.batched import OnError, Opened, checked_jobs, run
from vos_zoo.engine.grid import Grid, make_grid
from vos_zoo.engine.propagation import Annotations, Direction, Propagation
from vos_zoo.engine.read_ahead import Mode, checked_mode
from vos_zoo.engine.redetection import Redetector
from vos_zoo.engine.session import Session, checked_frame
from vos_zoo.engine.views import TTA, Branch, branches_of, leader
from vos_zoo.errors import MaskError, VideoError, VosZooError
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.models.parts.folding import folded
from vos_zoo.pointing.prompts import Prompts, Told
from vos_zoo.pointing.video import mask_of, pointed
from vos_zoo.system.devices import choose_device, choose_dtype
from vos_zoo.videos.video import Video, open_video

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from vos_zoo.models.base import VOSModel
    from vos_zoo.publish.push import Published

Progress = bool | Callable[[int, int | None], None] | None
# Of `finetune`. For the small crvos the rate is better than 1e-5 (on DAVIS' car-shadow and kite-surf) and 3e-4 (on car-shadow); these steps
# take it half a minute on one CPU core.
STEPS, LEARNING_RATE = 80, 1e-4


class Streamed(NamedTuple):
    """One item of `Segmenter.stream`."""

    index: int  # type: ignore[assignment]  # of the frame in the video
    frame: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W) ids, 0 background


class Segmenter:
    """A model that follows objects through videos; made by `vos_zoo.load`.

    device: "auto" is cuda, else mps, else cpu; or any torch device. dtype: "auto" is half precision where the device computes in it
    (bfloat16 on a GPU or CPU that has it, float16 on older GPUs), else float32; or "float32", "bfloat16", "float16".
    redetection: whose features find a lost object again by its looks (see `redetection.py`): True, this model's own; a Segmenter, that
    one's; False: it is not looked for. VosZooError if that model `describes` nothing.
    """

    def __init__(
        self, model: VOSModel, config: ModelConfig, *, device: Any = "auto", dtype: Any = "auto", redetection: Segmenter | bool = False
    ):
        self.config = config
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.model = model.eval()
        self._redetection = redetection
        if self.describer is not None and not self.describer.model.describes:
            name = self.describer.config.name
            raise VosZooError(f"{name} can't find lost objects by their looks, its features are not made for that: pass redetection=False")
        self._settle(folded(self.model))

    def _settle(self, inference_model: VOSModel) -> None:
        for each in (self.model, inference_model):
            each.to(self.device, self.dtype).to(memory_format=torch.channels_last)
            for parameter in each.parameters():
                parameter.requires_grad_(False)
        self._inference_model, self._of = inference_model, _fingerprint(self.model)

    @property
    def inference_model(self) -> VOSModel:
        """The model that computes: `model` itself, or where that has batch norms a copy with these merged into the convolutions."""
        if self._of != _fingerprint(self.model):  # somebody gave it other weights
            self._settle(folded(self.model))
        return self._inference_model

    @property
    def describer(self) -> Segmenter | None:
        """The Segmenter, this one or another, whose features find a lost object again; None: it is not looked for."""
        return self if self._redetection is True else self._redetection or None

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **options: Any) -> Segmenter:
        """`vos_zoo.load` of one model, under the name that Hub users know."""
        source, describer, options = find_one(name_or_path, **options)
        return cls.from_source(source, describer=describer, **options)

    @classmethod
    def from_source(
        cls, source: Source, *, describer: Source | None = None, device: Any = "auto", dtype: Any = "auto", **args: Any
    ) -> Segmenter:
        """A checkpoint that has been found. describer: whose features find lost objects again. args: replace those of the config."""
        check_follows(source.config)
        other = None if describer is None or describer is source else cls.from_source(describer, device=device, dtype=dtype)
        return cls(*trained(source, args), device=device, dtype=dtype, redetection=other or describer is source)

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> Path:
        """Write config.json and model.safetensors, so that `vos_zoo.load(folder)` gives this model again; see `checkpoints.save`."""
        return save(self.model, self.config, folder, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> Published:
        """Publish this model with a generated card as `repo_id` ("owner/name") on the Hugging Face Hub; see `publish.push.push_model`.

        options: private, revision, create_pr, tag, message, token, dtype.
        """
        from vos_zoo.publish.push import push_model

        return push_model(self.model, self.config, repo_id, load=Segmenter.from_source, **options)

    def propagate(
        self,
        video: Any,
        first_mask: Any = None,
        *,
        masks: Mapping[int, Any] | str | os.PathLike[str] | None = None,
        direction: Direction = "forward",
        size: int | tuple[int, int] | str | None = None,
        resize_mask: bool = False,
        backend: str = "auto",
        tta: TTA | bool | str | None = None,
        finetune: bool | int = False,
        mode: Mode = "auto",
        progress: Progress = None,
        stop: Callable[[], bool] | None = None,
        **told: Unpack[Told],
    ) -> MaskSequence:
        """Masks of all frames, from the mask of one; of a zero-shot model, which finds the objects itself, from none.

        video: a file, a folder of images, a (T, H, W, 3) uint8 array or tensor, a list or generator of frames, a camera index or stream
            URL: see `vos_zoo.open_video`. Frames are read as they are needed.
        first_mask: the objects of frame 0, in any form that `io.masks.read_mask` names: a path to an indexed PNG, an (H, W) array of
            ids, a (K, H, W) boolean array, a dict id -> mask, ... None for a zero-shot model: its objects are 1, 2, ... in the order of
            its slots, of which the result holds those that ever get a pixel; confidence and lost are of the frames from the first such on.
        masks: annotated frames, {index: mask}, or a folder of mask files; instead of first_mask or beside it. A later mask brings new
            objects, and corrects those it shows.
        direction: "forward", from the first annotated frame to the end; "backward", from the last annotated frame to the start; "both":
            every object is followed in both directions, and the annotation nearer in time decides.
        size: what the frames are resized to inside the model: the shorter side in pixels, (height, width), or "native"; default: what
            the checkpoint was made for. Masks always come back at the video's size.
        resize_mask: bring masks of another size to the video's (nearest neighbour) instead of raising MaskError.
        backend: "auto", "pyav" or "decord".
        tta: test-time augmentation, several views of each frame that decide together: "flip" (mirrored too), "scales" (1, 1.2 and 1.4
            times the size), True (both), or TTA(flip=..., scales=...). Each view costs a pass and has a state of its own.
        finetune: True, or a number of steps: a copy of the model is first adapted to the annotated frames, see `finetune`.
        mode: "throughput": frames are read ahead, and on a GPU encoded several at once; "latency": a frame is read when the mask before it
            is done. Masks are the same but for rounding. Default: throughput for what can be read again, else latency.
        progress: True or False; a function (frames done, frames in all or None); default: a bar when standard error is a terminal.
        stop: called after every frame; when it returns True, what is done so far is returned.
        points, boxes, scribbles, pointer: what to follow, pointed at in frame 0, in place of first_mask or to correct it; see
            `vos_zoo.Prompts`, which does the same for any frame in first_mask and masks.

        Returns a MaskSequence as long as the video; frames before the first annotation, or after a stop, are marked as not computed.
        Raises VideoError or MaskError before any work. Whatever ends the work midway, Ctrl-C included, carries the finished frames as
        its attribute `masks`: `except KeyboardInterrupt as interrupt: interrupt.masks`.
        """
        mode, first_mask = checked_mode(mode), Prompts.beside(first_mask, told)
        source, annotations = self._checked(video, first_mask, masks, direction, size, resize_mask, backend, tta)
        engine = self if finetune is False else self._adapted(source, annotations, finetune, size, progress)
        propagation = Propagation(engine, source, annotations, direction, size=size, tta=tta, mode=mode, progress=progress, stop=stop)
        return propagation.run()

    def propagate_many(
        self,
        videos: Iterable[Any],
        first_masks: Iterable[Any] | None = None,
        *,
        masks: Iterable[Mapping[int, Any] | str | os.PathLike[str] | None] | None = None,
        batch: int = 4,
        size: int | tuple[int, int] | str | None = None,
        resize_mask: bool = False,
        backend: str = "auto",
        tta: TTA | bool | str | None = None,
        progress: Progress = None,
        on_error: OnError = None,
    ) -> Iterator[tuple[int, MaskSequence]]:
        """(index, masks) of every video, each as soon as it is done; `batch` videos share each pass through the model.

        For GPUs that one video does not fill; on a CPU it takes as long as one video after another.

        for index, masks in segmenter.propagate_many(videos, first_masks): masks.save(f"out/{index}")

        videos: a list, or a generator of any length; it is read as it is needed, some videos ahead, so that videos whose frames are
            of one size inside the model (and only these) run together.
        first_masks, masks: one entry a video, as `propagate` takes them; None where there is none.
        size, resize_mask, backend, tta: as in `propagate`, for all videos.
        progress: as in `propagate`, but it counts videos.
        on_error: called with (index, error) of a video that can't be opened or read, or whose masks don't fit; the others go on. Default: a
            VosZooWarning. A function that raises ends the work. If the video failed midway, error.masks holds its frames so far.

        The masks are those that `propagate` gives for each video by itself, but for rounding: a batch is not summed in the order in which
        a single frame is, so where two objects are all but equally likely a pixel may differ (in float32 under one in ten thousand).
        Raises VosZooError at the call if the arguments can't be right, MaskError if there are not as many masks as videos.
        """
        jobs, total = checked_jobs(videos, first_masks, masks, batch)
        self.branches_for((480, 854), size, tta)

        def opened(video: Any, first_mask: Any, later: Any) -> Opened:
            source, annotations = self._checked(video, first_mask, later, "forward", size, resize_mask, backend, tta)
            grids = [(branch.grid.inner, branch.grid.pads) for branch in self.branches_for(annotations.size, size, tta)]
            return Opened(source, annotations, video, grids)

        return run(self, jobs, opened, total=total, batch=batch, size=size, tta=tta, progress=progress, on_error=on_error)

    def stream(
        self,
        video: Any,
        first_mask: Any = None,
        *,
        masks: Mapping[int, Any] | str | os.PathLike[str] | None = None,
        size: int | tuple[int, int] | str | None = None,
        resize_mask: bool = False,
        backend: str = "auto",
        tta: TTA | bool | str | None = None,
        mode: Mode = "auto",
        drop: str | None = None,
        **told: Unpack[Told],
    ) -> Iterator[Streamed]:
        """(index, frame, mask) of every frame from the first annotated one on, in constant memory: for live sources and long files.

        drop="late": of a live source that is faster than its masks the newest frame is taken each time. Indices count all frames that came,
        a VosZooWarning at the end says how many were left out; annotated ones never are. Else as `propagate`; errors come at the call.
        """
        mode, first_mask = checked_mode(mode), Prompts.beside(first_mask, told)
        source, annotations = self._checked(video, first_mask, masks, "forward", size, resize_mask, backend, tta)
        steps = Propagation(self, source, annotations, "forward", size=size, tta=tta, mode=mode, drop=drop).forward()
        return (Streamed(index, frame, shown.mask) for index, frame, shown in steps)

    def start(
        self,
        frame: Any,
        mask: Any = None,
        *,
        size: int | tuple[int, int] | str | None = None,
        resize_mask: bool = False,
        tta: TTA | bool | str | None = None,
        **told: Unpack[Told],
    ) -> Session:
        """A session for one video, fed by hand: `session.step(frame)` gives the next frame's mask.

        frame: (H, W, 3) uint8 RGB, as an array, a tensor or a PIL image; mask: its objects, in any form that `propagate` takes, None for
        a zero-shot model; size, tta: as in `propagate`.
        """
        frame, mask = checked_frame(frame, None), Prompts.beside(mask, told)
        if mask is None and not self.finds_objects:
            raise MaskError(f"no mask was given: {self.config.name} follows the objects of a mask, start(frame, mask)")
        if mask is not None and self.finds_objects:
            raise MaskError(f"{self.config.name} finds the objects itself and takes no mask: start(frame)")
        mask = mask_of(frame, mask, device=self.device, resize=resize_mask)
        masks = None if mask is None else read_mask(mask, size=frame.shape[:2], resize=resize_mask)
        return Session(self, frame, masks, size=size, tta=tta)

    def finetune(
        self,
        frame: Any,
        mask: Any,
        *,
        steps: int = STEPS,
        lr: float = LEARNING_RATE,
        seed: int = 0,
        size: int | tuple[int, int] | str | None = None,
        resize_mask: bool = False,
        progress: Progress = None,
    ) -> Segmenter:
        """A copy that is adapted to one video by training on its annotated frame; this one stays as it is (SCM 3.3, online fine-tuning).

        adapted = segmenter.finetune(video[0], mask); masks = adapted.propagate(video, mask)

        frame: (H, W, 3) uint8 RGB, as `start` takes it, and mask: its objects, as `propagate` takes them; or a list of each for several
            annotated frames. Which id is which plays no part.
        steps, lr: of Adam, each step on a short clip of one frame, altered a little from picture to picture (see `vos_zoo.train.adapt`).
        seed: the same seed gives the same weights on the same machine.
        size: as in `propagate`; use the same for both.

        Weights are trained in float32 and brought back to this Segmenter's precision. All but batch normalisation learns. The copy is a
        Segmenter like any other: save_pretrained keeps it. Ctrl-C leaves nothing behind.
        Raises VosZooError, MaskError or VideoError before any work; VosZooError if the training diverges.
        """
        if self.finds_objects:
            raise VosZooError(f"{self.config.name} finds the objects itself and follows no mask, so there is nothing to adapt it to")
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
            raise VosZooError(f"steps is a number of training steps, 1 or more, not {steps!r}")
        if isinstance(lr, bool) or not isinstance(lr, (int, float)) or not 0 < lr < 1:
            raise VosZooError(f"lr is a learning rate between 0 and 1, for instance {LEARNING_RATE}, not {lr!r}")
        from vos_zoo.train.adapt import adapted

        pairs = [(each, read_mask(one, size=each.shape[:2], resize=resize_mask)) for each, one in _pairs(frame, mask)]
        grids = [self.grid_for(each.shape[:2], size) for each, _ in pairs]
        model = adapted(
            self.model, list(zip(grids, pairs, strict=True)), steps=int(steps), lr=lr, seed=seed, dtype=self.dtype, progress=progress
        )
        record = {"from": self.config.name, "frames": len(pairs), "steps": int(steps), "lr": lr, "seed": seed}
        config = self.config.replace(
            name=f"{self.config.name.removesuffix('-finetuned')[:86]}-finetuned",
            weights=None,
            metrics=[],
            training={**self.config.training, "finetuned": record},
        )
        return Segmenter(model, config, device=self.device, dtype=self.dtype, redetection=self.describer or False)

    def info(self) -> dict[str, Any]:
        """What this is: name, architecture, arguments, parameters, input size, device, precision, licence, measured scores."""
        return {
            "name": self.config.name,
            "architecture": self.config.architecture,
            "model_args": dict(self.config.model_args),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "short_side": self.config.preprocess.short_side,
            "size": self.config.preprocess.size,
            "redetection": self.describer.config.name if self.describer else None,
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "licence": self.config.licence,
            "paper": dict(self.config.paper),
            "metrics": list(self.config.metrics),
        }

    def grid_for(self, size: tuple[int, int], internal: int | tuple[int, int] | str | None) -> Grid:
        """The model grid for frames of (height, width); internal: the `size` argument of `propagate`."""
        short_side, inner = self.config.preprocess.short_side, self.config.preprocess.size
        if isinstance(internal, str) and internal == "native":
            short_side = inner = None
        elif _whole(internal):
            short_side, inner = int(internal), None
        elif isinstance(internal, (tuple, list)) and len(internal) == 2 and all(map(_whole, internal)):
            inner = (int(internal[0]), int(internal[1]))
        elif internal is not None:
            raise VosZooError(f"size is the shorter side in pixels, (height, width) or 'native', not {internal!r}")
        smallest = min(inner) if inner else short_side
        if smallest is not None and smallest < self.model.stride:
            raise VosZooError(f"size {internal} is too small: this model needs at least {self.model.stride} pixels a side")
        return make_grid(size, short_side=short_side, stride=self.model.stride, padding=self.model.padding, inner=inner)

    @property
    def finds_objects(self) -> bool:
        """Whether the model finds the objects itself (zero-shot) instead of following those of a mask."""
        return self.model.finds_objects

    def branches_for(self, size: tuple[int, int], internal: Any = None, tta: Any = None) -> list[Branch]:
        """The views of a video of (height, width) that decide together; one without `tta`. VosZooError if there can't be several."""
        views = TTA.of(tta)
        if len(views.views) > 1 and self.finds_objects:
            raise VosZooError(
                f"{self.config.name} finds the objects itself, and what is object 1 in one view may be object 2 in another: leave tta out"
            )
        return branches_of(self.inference_model, self.device, self.grid_for(size, internal), views)

    def redetector_for(self, branches: list[Branch], size: tuple[int, int]) -> Redetector | None:
        """What looks after the objects of a video of (height, width) that these branches follow; None: nobody."""
        describer = self.describer
        if describer is None:
            return None
        model, usual = describer.inference_model, describer.grid_for(size, None)
        for n, branch in enumerate(branches):
            if branch.model is model and not branch.flipped and _times(branch.grid, usual) <= 2:  # beyond that a look would take too long
                return Redetector(Appearance(branch, n))
        followed = branches[leader(branches)].grid
        if _times(followed, usual) < 0.5 and min(followed.inner) >= model.stride:  # who wants small frames wants them followed fast
            usual = describer.grid_for(size, followed.inner)
        return Redetector(Appearance(Branch(model, describer.device, usual)))

    def _adapted(self, source: Video, annotations: Annotations, steps: bool | int, size: Any, progress: Progress) -> Segmenter:
        """A copy that is adapted to the annotated frames of a video."""
        if not source.replayable:
            raise VideoError(
                f"{source.name} can be read only once, and finetune has to look at its annotated frames first: save it to a file, or take "
                "the frame yourself and call segmenter.finetune(frame, mask)"
            )
        frames = [next(iter(source.read(index, index + 1)), None) for index in annotations.ids]
        pairs = [(frame, annotations.at(index)) for frame, index in zip(frames, annotations.ids, strict=True) if frame is not None]
        quiet = False if progress is False or callable(progress) else progress
        return self.finetune(
            [frame for frame, _ in pairs], [mask for _, mask in pairs], steps=STEPS if steps is True else steps, size=size, progress=quiet
        )

    def _checked(
        self, video: Any, first_mask: Any, masks: Any, direction: Direction, size: Any, resize_mask: bool, backend: str, tta: Any
    ) -> tuple[Video, Annotations]:
        """The video opened and every mask read; a camera is let go of if one of them is wrong."""
        source = open_video(video, backend=backend)
        try:
            finder = self.config.name if self.finds_objects else None
            if finder is None:
                first_mask, masks = pointed(source, first_mask, masks, device=self.device, resize=resize_mask)
            annotations = Annotations.read(source, first_mask, masks, direction=direction, resize=resize_mask, finder=finder)
            self.branches_for(annotations.size, size, tta)
        except BaseException:
            if source is not video:
                source.close()
            raise
        return source, annotations

    def __repr__(self) -> str:
        return f"<Segmenter {self.config.name} ({self.config.architecture}) on {self.device}, {str(self.dtype).removeprefix('torch.')}>"


def _pairs(frame: Any, mask: Any) -> list[tuple[np.ndarray, Any]]:
    """Annotated frames, checked, and their masks, not yet read."""
    if not isinstance(frame, (list, tuple)):
        return [(checked_frame(frame, None), mask)]
    if not frame or not isinstance(mask, (list, tuple)) or len(mask) != len(frame):
        number = f"{len(mask)} masks" if isinstance(mask, (list, tuple)) else f"a {type(mask).__name__} for masks"
        raise MaskError(f"a list of frames needs a list of as many masks, at least one: there are {len(frame)} frames and {number}")
    return [(checked_frame(each, None), one) for each, one in zip(frame, mask, strict=True)]


def _fingerprint(model: VOSModel) -> list[int]:
    """Changes when the model is another, or its weights were written to."""
    tensors = (*model.parameters(), *model.buffers())
    return [id(model), *(0 if tensor.is_inference() else tensor._version for tensor in tensors)]


def _times(grid: Grid, other: Grid) -> float:
    """How much larger a frame is on one grid than on another."""
    return math.prod(grid.inner) / math.prod(other.inner)


def _whole(number: Any) -> TypeGuard[int]:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)
