"""What trunks that never learn show of frames: computed once, kept on disk, found again by the frame itself.

For models with `maps(frames)`, which does not learn, and `prepared(maps)`, which does (CRVOS, RVOS and ACCLVOS with a frozen trunk,
SCM with a frozen trunk of queries, LightSCM). It pays where frames come again as they were: whole frames of real clips
(`windows: {view: frame, flip: 0, photometry: false}`) and a stage's `scenes`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.models.base import VOSModel
from vos_zoo.system.atomic import atomic_write


@runtime_checkable
class ShowsMaps(Protocol):
    """A model whose `encode` is `prepared(maps(frames))`."""

    shown: Any  # the class of what `maps` gives, a NamedTuple of tensors

    def maps(self, frames: Tensor) -> Any: ...
    def prepared(self, maps: tuple[Tensor, ...]) -> Any: ...


class KeptMaps:
    """Encodes frames as the model does, with what does not learn read from a folder.

    Args:
        model: with `maps` and `prepared`; its trunks are frozen.
        folder: where half-precision maps are kept: a frame of 288 x 512 pixels takes some 2 MB of LightSCM, 8 MB of CRVOS on a ResNet-50.

    Raises:
        DataError: the model has no such parts, or its trunks learn.
    """

    def __init__(self, model: VOSModel, folder: Path):
        if not isinstance(model, ShowsMaps):
            kind = type(model).__name__
            raise DataError(f"keep is for models that tell what their trunk shows of a frame by `maps`, and {kind} does not: leave it out")
        if any(p.requires_grad for trunk in model.kept_trunks() for p in trunk.parameters()):
            raise DataError("keep is for trunks that do not learn: add `frozen: [trunk]` (SCM: [query_trunk]), or leave keep out")
        self.model: ShowsMaps = model
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def encode(self, frames: Tensor) -> Any:
        """frames (B, 3, H, W) in [0, 1] -> the model's features."""
        shown = [self._maps(frame[None]) for frame in frames]
        return self.model.prepared(type(shown[0])(*(torch.cat(each) for each in zip(*shown, strict=True))))

    def _maps(self, frame: Tensor) -> Any:
        pixels = (frame * 255).round().to("cpu", torch.uint8)
        name = hashlib.sha256(pixels.numpy().tobytes() + str(tuple(pixels.shape)).encode()).hexdigest()
        path = self.folder / f"{name[:32]}.pt"
        if not path.exists():
            with torch.no_grad(), torch.autocast(frame.device.type, enabled=False):
                maps = self.model.maps(pixels.to(frame) / 255)
            with atomic_write(path) as temporary:
                torch.save([each.cpu().half() if each.is_floating_point() else each.cpu() for each in maps], temporary)
        kind = self.model.shown
        return kind(
            *(each.to(frame) if each.is_floating_point() else each.to(frame.device) for each in torch.load(path, weights_only=True))
        )
