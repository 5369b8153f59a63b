"""The model behind a click, loaded: a head with the encoder whose features it reads."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import torch

from vos_zoo.checkpoints import sources
from vos_zoo.checkpoints.build import trained
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.sources import Access
from vos_zoo.errors import CheckpointError, VosZooError
from vos_zoo.models.base import VOSModel
from vos_zoo.models.discovery import POINTING
from vos_zoo.models.parts.folding import folded
from vos_zoo.pointing.network import PointingNetwork
from vos_zoo.pointing.pointer import Pointer
from vos_zoo.pointing.prompts import POINTER
from vos_zoo.system.devices import choose_device, choose_dtype
from vos_zoo.videos.images import read_frame

if TYPE_CHECKING:
    from vos_zoo.masks.source import MaskLike
    from vos_zoo.system.devices import DeviceLike, DTypeLike
    from vos_zoo.videos.source import FrameLike


class PointingModel:
    """Makes the first mask of objects that are pointed at; made by `vos_zoo.load_pointer`.

    Args:
        network: the head.
        encoder: whose features it reads.
        config: of the head.
        device: as in Segmenter.
        dtype: as in Segmenter.

    Example:
        >>> mask = vos_zoo.load_pointer().look("frame.jpg").mask(points=[(320, 240)])  # doctest: +SKIP
    """

    def __init__(
        self, network: PointingNetwork, encoder: VOSModel, config: ModelConfig, *, device: DeviceLike = "auto", dtype: DTypeLike = "auto"
    ):
        self.config = config
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.network, self.encoder = network.eval(), folded(encoder.eval())
        for each in (self.network, self.encoder):
            each.to(self.device, self.dtype).to(memory_format=torch.channels_last)
            each.requires_grad_(False)

    def look(self, image: FrameLike) -> Pointer:
        """A picture to point at: (H, W, 3) uint8 RGB, a PIL image or a path. It is encoded when it is first asked.

        Raises:
            VideoError: it can't be read as a picture.
        """
        return Pointer(read_frame(image, "the picture"), self.network, self.encoder)

    def __repr__(self) -> str:
        return f"<PointingModel {self.config.name} on {self.device}, {str(self.dtype).removeprefix('torch.')}>"


def load_pointer(
    name_or_path: str | os.PathLike[str] = POINTER,
    *,
    device: DeviceLike = "auto",
    dtype: DTypeLike = "auto",
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> PointingModel:
    """Loads a trained model that makes masks of clicks, boxes and scribbles.

    Example:
        >>> pointer = vos_zoo.load_pointer().look("frame.jpg")  # doctest: +SKIP
        >>> mask = pointer.mask(points=[(320, 240)])  # doctest: +SKIP
        >>> mask = pointer.mask(points=[(320, 240), (400, 250, 0)])  # doctest: +SKIP

    Args:
        name_or_path: as in `vos_zoo.load`.
        device: as in Segmenter.
        dtype: as in Segmenter.
        revision: branch, tag or commit of a Hub repository.
        token: as in `vos_zoo.load`.
        local_files_only: as in `vos_zoo.load`.
        cache_dir: as in `vos_zoo.load`.

    Raises:
        ModelNotFoundError: there is no such model, or none with weights.
        CheckpointError: config or weights are corrupt or do not fit each other, or the features it reads are not here.
        VosZooError: the model follows masks and makes none of clicks.
    """
    access = Access(revision, token, local_files_only, cache_dir)
    source = sources.find(name_or_path, access)
    if source.config.architecture not in POINTING:
        raise VosZooError(
            f"{source.config.name} follows masks and makes none of clicks: leave the model out, or name one that does, such as {POINTER}"
        )
    encoder, _ = trained(sources.encoder(source, access))
    network, config = trained(source)
    if not isinstance(network, PointingNetwork):
        raise CheckpointError(f"{source.label}: {config.architecture} is no network that points")
    return PointingModel(network, encoder, config, device=device, dtype=dtype)


@functools.lru_cache(maxsize=2)
def kept_pointer(name_or_path: str, device: str, dtype: str) -> PointingModel:
    """`load_pointer`, which keeps the last two: a click must not wait for a file."""
    return load_pointer(name_or_path, device=device, dtype=dtype)


def point(
    image: FrameLike,
    points: object = None,
    boxes: object = None,
    scribbles: object = None,
    mask: MaskLike | None = None,
    *,
    model: str | os.PathLike[str] | PointingModel = POINTER,
    device: DeviceLike = "auto",
) -> Any:
    """The mask of the objects that are pointed at, (H, W) ids, ready for `propagate`.

    Example:
        >>> mask = vos_zoo.point("frame.jpg", points=[(320, 240)])  # doctest: +SKIP
        >>> mask = vos_zoo.point(frame, points={1: [(320, 240), (400, 250, 0)]}, boxes={2: (10, 20, 200, 300)})  # doctest: +SKIP

    Args:
        image: (H, W, 3) uint8 RGB, a PIL image or a path.
        points: {id: [(x, y), ...]}, pixels from the top left corner; (x, y, 0) for "not this"; a list alone is of object 1.
        boxes: {id: (x0, y0, x1, y1)}, left, upper, right, lower; four numbers alone are of object 1, a list of boxes
            of objects 1, 2 and so on.
        scribbles: {id: [stroke, ...]}, a stroke is a list of (x, y) along it; a list alone is of object 1.
        mask: what is to be corrected, in any form that `propagate` takes; its other objects stay as they are.
        model: a name, a folder, or what `load_pointer` gave.
        device: as in Segmenter, for a model that is loaded here.

    Raises:
        PromptError: nothing says where an object is, a place lies outside the picture, or a box has no area.
        MaskError: the mask can't be read, or is of another size.
        VideoError: the picture can't be read.
    """
    pointing = model if isinstance(model, PointingModel) else kept_pointer(os.fspath(model), str(device), "auto")
    return pointing.look(image).mask(points, boxes, scribbles, mask)
