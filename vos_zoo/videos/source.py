"""What a frame or a video may be given as. `open_video` and `read_frame` say what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from vos_zoo.videos.video import Video

# A path to an image, a PIL image, an (H, W, 3) uint8 RGB array or tensor.
FrameLike: TypeAlias = "str | os.PathLike[str] | Image | np.ndarray | Tensor"
# A file, folder or URL, a camera's index, a (T, H, W, 3) uint8 array or tensor, any iterable of frames, an open Video.
VideoSource: TypeAlias = "str | os.PathLike[str] | int | np.ndarray | Tensor | Iterable[FrameLike] | Video"
