"""STM as its authors published it: STM_weights.pth, one state_dict saved from DataParallel.

    published                               here
    Encoder_Q.conv1, bn1, res2, res3, res4  query_trunk.net.conv1, bn1, layer1, layer2, layer3
    Encoder_M., the same names              memory_trunk.net.; conv1, conv1_m and conv1_o are one convolution over five channels
    KV_Q_r4, KV_M_r4 .Key, .Value           query_key, query_value, memory_key, memory_value
    Decoder.convFM, ResMM                   mix.branches.0, block16
    Decoder.RF3, RF2 .convFS, ResFS, ResMM  level8, level4 .skip.0, .skip.1, .merged
    Decoder.pred2                           predictor
    Encoder_Q, Encoder_M .mean, .std        not used: this library's models have ImageNet's; others are refused

The result is an SCM with its three modules off, which is STM. It keeps every fifth frame, as STM does, so its memory grows with the video;
load it with max_memory=10, say, to bound it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.convert.folder import write_folder
from vos_zoo.convert.published import read_published
from vos_zoo.errors import CheckpointError

NAME = "stm-resnet50-official"
LICENCE = "CC-BY-NC-SA-4.0"  # of the authors' repository
ORIGIN = "The authors' weights (STM_weights.pth), linked to in github.com/seoungwugoh/STM, whose terms hold for them."
STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # ImageNet's, of RGB in [0, 1]
UNUSED = r"Encoder_[MQ]\.(mean|std)"
_TRUNKS = {"query_trunk.net.": "Encoder_Q.", "memory_trunk.net.": "Encoder_M."}
_STAGES = {"layer1": "res2", "layer2": "res3", "layer3": "res4"}
_LAYERS = {
    "query_key": "KV_Q_r4.Key",
    "query_value": "KV_Q_r4.Value",
    "memory_key": "KV_M_r4.Key",
    "memory_value": "KV_M_r4.Value",
    "mix.branches.0": "Decoder.convFM",
    "block16": "Decoder.ResMM",
    "level8.skip.0": "Decoder.RF3.convFS",
    "level8.skip.1": "Decoder.RF3.ResFS",
    "level8.merged": "Decoder.RF3.ResMM",
    "level4.skip.0": "Decoder.RF2.convFS",
    "level4.skip.1": "Decoder.RF2.ResFS",
    "level4.merged": "Decoder.RF2.ResMM",
    "predictor": "Decoder.pred2",
}


def convert(file: str | os.PathLike[str], out: str | os.PathLike[str], *, dtype: str = "float32") -> Path:
    """STM_weights.pth -> the folder `out`, which `vos_zoo.load(out)` takes. Returns it.

    dtype: of the stored weights, "float32", "float16" or "bfloat16".
    Raises CheckpointError when the file is not read or does not fit, naming the keys; SaveError when `out` is taken.
    """
    published = read_published(file)
    check_statistics(published.tensors, str(published.path))
    config = ModelConfig(
        name=NAME,
        architecture="SCM",
        model_args={
            "backbone": "resnet50",
            "spatial_constraint": False,
            "aspp": False,
            "refine": False,
            "memory_every": 5,
            "max_memory": None,
            "background": "prod",
        },
        licence=LICENCE,
        description="the authors' STM (ResNet-50), converted",
        **catalogue.facts("stm-resnet50"),
    )
    return write_folder(out, config, [published], published.tensors, spelling, unused=UNUSED, origin=ORIGIN, dtype=dtype)


def check_statistics(tensors: Mapping[str, Tensor], source: str) -> None:
    """CheckpointError if a mean or standard deviation in the file is not ImageNet's."""
    for encoder in _TRUNKS.values():
        for name, expected in STATISTICS.items():
            found = tensors.get(f"{encoder}{name}")
            if found is None:
                continue
            values = found.flatten().tolist() if found.numel() == 3 else list(found.shape)
            if found.numel() != 3 or any(abs(a - b) > 1e-4 for a, b in zip(values, expected, strict=True)):
                raise CheckpointError(
                    f"{source}: {encoder}{name} is {[round(v, 4) for v in values]}, not ImageNet's {list(expected)}, by which frames "
                    "are normalised here: converted, this model would not compute its authors' function."
                )


def spelling(key: str) -> tuple[str, ...]:
    """A key of our model -> the authors', or those of the parts it is joined from."""
    if key == "memory_trunk.net.conv1.weight":
        return ("Encoder_M.conv1.weight", "Encoder_M.conv1_m.weight", "Encoder_M.conv1_o.weight")
    for ours, theirs in _TRUNKS.items():
        if key.startswith(ours):
            stage, _, rest = key.removeprefix(ours).partition(".")
            return (f"{theirs}{_STAGES.get(stage, stage)}.{rest}",)
    layer = next(name for name in _LAYERS if key.startswith(f"{name}."))
    return (f"{_LAYERS[layer]}.{key.removeprefix(f'{layer}.')}",)
