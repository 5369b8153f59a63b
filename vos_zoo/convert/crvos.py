"""CRVOS as its authors published it: CRVOS_best.tar, one state_dict, in its first version under the key "net".

published (vos.)                      here
backbone.*                            trunk.net.*    ResNet-50 with torchvision's names; its classifier fc is not used
refine.conv_s16, _s8, _s4 .conv       refine16, refine8, refine4 .reduce
refine.blend_s16, _s8, _s4 .conv      refine16, refine8, refine4 .blend
refine.deconv1_1, deconv2, deconv3    refine16, refine8, refine4 .deconv
refine.deconv1_2, predictor           lift, predictor
"""

from __future__ import annotations

import os
from pathlib import Path

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.convert.folder import write_folder
from vos_zoo.convert.published import read_published

NAME = "crvos-resnet50-official"
LICENCE = (
    "None was given: the authors published these weights without a licence, so all rights are theirs. Converted for your own use; don't "
    "pass them on."
)
ORIGIN = "The authors' weights (CRVOS_best.tar), trained on YouTube-VOS and DAVIS-2016 as the paper says."
UNUSED = r"vos\.backbone\.fc\.(weight|bias)"
_LAYERS = {
    "refine16.deconv": "deconv1_1",
    "refine8.deconv": "deconv2",
    "refine4.deconv": "deconv3",
    "lift": "deconv1_2",
    "predictor": "predictor",
    **{f"refine{n}.reduce": f"conv_s{n}.conv" for n in (16, 8, 4)},
    **{f"refine{n}.blend": f"blend_s{n}.conv" for n in (16, 8, 4)},
}


def convert(file: str | os.PathLike[str], out: str | os.PathLike[str], *, dtype: str = "float32") -> Path:
    """CRVOS_best.tar -> the folder `out`, which `vos_zoo.load(out)` takes. Returns it.

    dtype: of the stored weights, "float32", "float16" or "bfloat16".
    Raises CheckpointError when the file is not read or does not fit, naming the keys; SaveError when `out` is taken.
    """
    published = read_published(file, wrapper="net")
    config = ModelConfig(
        name=NAME,
        architecture="CRVOS",
        model_args={"backbone": "resnet50", "backbone_stages": 4, "background": "min"},
        licence=LICENCE,
        description="the authors' CRVOS (ResNet-50), converted",
        **catalogue.facts("crvos-resnet50"),
    )
    return write_folder(out, config, [published], published.tensors, spelling, unused=UNUSED, origin=ORIGIN, dtype=dtype)


def spelling(key: str) -> tuple[str, ...]:
    """A key of our model -> the authors'."""
    if key.startswith("trunk.net."):
        return (f"vos.backbone.{key.removeprefix('trunk.net.')}",)
    layer, _, kind = key.rpartition(".")
    return (f"vos.refine.{_LAYERS[layer]}.{kind}",)
