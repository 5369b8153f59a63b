"""Segmenter: a model with its config, ready for videos. Frames, ids, sizes, devices; no model's internals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import numpy as np
import torch

from vos_zoo.config import ModelConfig
from vos_zoo.errors import VosZooError
from vos_zoo.io.masks import read_mask
from vos_zoo.io.sequence import MaskSequence
from vos_zoo.io.video import Video, open_video
from vos_zoo.propagation import Annotations, Direction, Propagation
from vos_zoo.session import Session, checked_frame
from vos_zoo.transforms import Grid, make_grid

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel

Progress = bool | Callable[[int, int | None], None] | None
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Streamed(NamedTuple):
    """One item of `Segmenter.stream`."""

    index: int  # type: ignore[assignment]  # of the frame in the video
    frame: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W) ids, 0 background


class Segmenter:
    """A model that follows objects through videos; made by `vos_zoo.load`.

    device: "auto" is cuda, else mps, else cpu; or any torch device. dtype: "auto" is half precision where the device computes in it
    (bfloat16 on a GPU or CPU that has it, float16 on older GPUs), else float32; or "float32", "bfloat16", "float16".
    """

    def __init__(self, model: VOSModel, config: ModelConfig, *, device: Any = "auto", dtype: Any = "auto"):
        self.config = config
        self.device = _device(device)
        self.dtype = _dtype(dtype, self.device)
        self.model = model.eval().to(self.device, self.dtype)
        self.model.to(memory_format=torch.channels_last)
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **options: Any) -> Segmenter:
        """The same as `vos_zoo.load`, under the name that Hub users know."""
        from vos_zoo.zoo import load

        return load(name_or_path, **options)

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> Path:
        """Write config.json and model.safetensors, so that `vos_zoo.load(folder)` gives this model again; see `zoo.save`."""
        from vos_zoo.zoo import save

        return save(self, folder, **options)

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
        progress: Progress = None,
        stop: Callable[[], bool] | None = None,
    ) -> MaskSequence:
        """Masks of all frames, from the mask of one.

        video: a file, a folder of images, a (T, H, W, 3) uint8 array or tensor, a list or generator of frames, a camera index or stream
            URL: see `vos_zoo.open_video`. Frames are read as they are needed.
        first_mask: the objects of frame 0, in any form that `io.masks.read_mask` names: a path to an indexed PNG, an (H, W) array of
            ids, a (K, H, W) boolean array, a dict id -> mask, ...
        masks: annotated frames, {index: mask}, or a folder of mask files; instead of first_mask or beside it. A later mask brings new
            objects, and corrects those it shows.
        direction: "forward", from the first annotated frame to the end; "backward", from the last annotated frame to the start; "both":
            every object is followed in both directions, and the annotation nearer in time decides.
        size: what the frames are resized to inside the model: the shorter side in pixels, (height, width), or "native"; default: what
            the checkpoint was made for. Masks always come back at the video's size.
        resize_mask: bring masks of another size to the video's (nearest neighbour) instead of raising MaskError.
        backend: "auto", "pyav" or "decord".
        progress: True or False; a function (frames done, frames in all or None); default: a bar when standard error is a terminal.
        stop: called after every frame; when it returns True, what is done so far is returned.

        Returns a MaskSequence as long as the video; frames before the first annotation, or after a stop, are marked as not computed.
        Raises VideoError or MaskError before any work. Whatever ends the work midway, Ctrl-C included, carries the finished frames as
        its attribute `masks`: `except KeyboardInterrupt as interrupt: interrupt.masks`.
        """
        source, annotations = self._checked(video, first_mask, masks, direction, size, resize_mask, backend)
        return Propagation(self, source, annotations, direction, size, progress, stop).run()

    def stream(
        self,
        video: Any,
        first_mask: Any = None,
        *,
        masks: Mapping[int, Any] | str | os.PathLike[str] | None = None,
        size: int | tuple[int, int] | str | None = None,
        resize_mask: bool = False,
        backend: str = "auto",
    ) -> Iterator[Streamed]:
        """(index, frame, mask) of every frame from the first annotated one on, in constant memory: for live sources and long files.

        Arguments, errors and masks are those of `propagate`; errors come at the call, not at the first frame.
        """
        source, annotations = self._checked(video, first_mask, masks, "forward", size, resize_mask, backend)
        steps = Propagation(self, source, annotations, "forward", size, False, None).forward()
        return (Streamed(index, frame, mask) for index, frame, mask, _ in steps)

    def start(self, frame: Any, mask: Any, *, size: int | tuple[int, int] | str | None = None, resize_mask: bool = False) -> Session:
        """A session for one video, fed by hand: `session.step(frame)` gives the next frame's mask.

        frame: (H, W, 3) uint8 RGB, as an array, a tensor or a PIL image; mask: its objects, in any form that `propagate` takes; size: as
            in `propagate`.
        """
        frame = checked_frame(frame, None)
        masks = read_mask(mask, size=frame.shape[:2], resize=resize_mask)
        return Session(self, frame, masks, size=size)

    def info(self) -> dict[str, Any]:
        """What this is: name, architecture, arguments, parameters, input size, device, precision, licence, measured scores."""
        return {
            "name": self.config.name,
            "architecture": self.config.architecture,
            "model_args": dict(self.config.model_args),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "short_side": self.config.preprocess.short_side,
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "licence": self.config.licence,
            "paper": dict(self.config.paper),
            "metrics": list(self.config.metrics),
        }

    def grid_for(self, size: tuple[int, int], internal: int | tuple[int, int] | str | None) -> Grid:
        """The model grid for frames of (height, width); internal: the `size` argument of `propagate`."""
        short_side, inner = self.config.preprocess.short_side, None
        if internal == "native":
            short_side = None
        elif _whole(internal):
            short_side = int(internal)
        elif isinstance(internal, (tuple, list)) and len(internal) == 2 and all(map(_whole, internal)):
            inner = (int(internal[0]), int(internal[1]))
        elif internal is not None:
            raise VosZooError(f"size is the shorter side in pixels, (height, width) or 'native', not {internal!r}")
        smallest = min(inner) if inner else short_side
        if smallest is not None and smallest < self.model.stride:
            raise VosZooError(f"size {internal} is too small: this model needs at least {self.model.stride} pixels a side")
        return make_grid(size, short_side=short_side, stride=self.model.stride, padding=self.model.padding, inner=inner)

    def _checked(
        self, video: Any, first_mask: Any, masks: Any, direction: Direction, size: Any, resize_mask: bool, backend: str
    ) -> tuple[Video, Annotations]:
        """The video opened and every mask read; a camera is let go of if one of them is wrong."""
        source = open_video(video, backend=backend)
        try:
            annotations = Annotations.read(source, first_mask, masks, direction=direction, resize=resize_mask)
            self.grid_for(annotations.size, size)
        except BaseException:
            if source is not video:
                source.close()
            raise
        return source, annotations

    def __repr__(self) -> str:
        return f"<Segmenter {self.config.name} ({self.config.architecture}) on {self.device}, {str(self.dtype).removeprefix('torch.')}>"


def _whole(number: Any) -> TypeGuard[int]:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _device(device: Any) -> torch.device:
    if device != "auto":
        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise VosZooError(
                f"device {device!r} can't be used here ({str(error).splitlines()[0]}); device='auto' takes the best that there is"
            ) from error
        return chosen
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(dtype: Any, device: torch.device) -> torch.dtype:
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    if dtype != "auto":
        raise VosZooError(f"dtype is 'auto', {', '.join(map(repr, DTYPES))} or such a torch.dtype, not {dtype!r}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and _cpu_computes_in_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_computes_in_bfloat16() -> bool:
    """AVX512-BF16 or AMX; without them bfloat16 is emulated, slower than float32."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(known.get(name)) for name in ("avx512_bf16", "amx_bf16"))
