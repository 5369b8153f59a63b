"""What a mask, or the masks of several frames, may be given as. `read_mask` and `read_masks` say what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from vos_zoo.masks.read import ObjectMasks
    from vos_zoo.pointing.prompts import Prompts

# A path, an array or tensor (H, W) or (K, H, W), a dictionary id -> mask, a COCO RLE, polygons, a PIL image, prompts.
MaskLike: TypeAlias = "str | os.PathLike[str] | np.ndarray | Tensor | Image | Mapping[Any, Any] | Sequence[Any] | ObjectMasks | Prompts"
# The masks of several frames: {index: mask}, or a folder of mask files.
MasksLike: TypeAlias = "Mapping[int, MaskLike] | str | os.PathLike[str]"
