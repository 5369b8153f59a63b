"""vos_zoo: semi-supervised video object segmentation. A video and the mask of one frame in, the masks of all frames out.

    import vos_zoo
    masks = vos_zoo.load("crvos").propagate("video.mp4", "first_mask.png")
    masks.save_video("overlay.mp4", "video.mp4")

Names are imported when they are first used, so that `import vos_zoo` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vos_zoo.errors import (
    CheckpointError,
    MaskError,
    ModelNotFoundError,
    PromptError,
    PublishError,
    SaveError,
    VideoError,
    VosZooError,
    VosZooWarning,
)

if TYPE_CHECKING:
    from vos_zoo.engine.inputs import TTA
    from vos_zoo.engine.session import Session
    from vos_zoo.ensembles import ensemble
    from vos_zoo.masks.read import read_mask
    from vos_zoo.masks.sequence import MaskSequence
    from vos_zoo.pointing.model import PointingModel, load_pointer, point
    from vos_zoo.pointing.pointer import Pointer
    from vos_zoo.pointing.prompts import Prompts
    from vos_zoo.runtimes.pointing_graphs import export_pointer
    from vos_zoo.segmenter import Segmenter
    from vos_zoo.videos.video import Video, open_video
    from vos_zoo.zoo import create, list_models, load

__version__ = "0.1.0"

_HOMES = {
    "load": "vos_zoo.zoo",
    "create": "vos_zoo.zoo",
    "list_models": "vos_zoo.zoo",
    "Segmenter": "vos_zoo.segmenter",
    "TTA": "vos_zoo.engine.inputs",
    "ensemble": "vos_zoo.ensembles",
    "Session": "vos_zoo.engine.session",
    "MaskSequence": "vos_zoo.masks.sequence",
    "Video": "vos_zoo.videos.video",
    "open_video": "vos_zoo.videos.video",
    "read_mask": "vos_zoo.masks.read",
    "point": "vos_zoo.pointing.model",
    "load_pointer": "vos_zoo.pointing.model",
    "PointingModel": "vos_zoo.pointing.model",
    "Pointer": "vos_zoo.pointing.pointer",
    "Prompts": "vos_zoo.pointing.prompts",
    "export_pointer": "vos_zoo.runtimes.pointing_graphs",
}

__all__ = [
    "CheckpointError",
    "MaskError",
    "MaskSequence",
    "ModelNotFoundError",
    "Pointer",
    "PointingModel",
    "PromptError",
    "Prompts",
    "PublishError",
    "SaveError",
    "Segmenter",
    "Session",
    "TTA",
    "Video",
    "VideoError",
    "VosZooError",
    "VosZooWarning",
    "create",
    "ensemble",
    "export_pointer",
    "list_models",
    "load",
    "load_pointer",
    "open_video",
    "point",
    "read_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vos_zoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
