"""RVOS as its authors published it: encoder.pt and decoder.pt, beside which lie optimisers and args.pkl that nothing needs.

    published                             here
    encoder  base.*                       trunk.net.*    a ResNet with torchvision's names; its classifier fc is not used
             sk5, sk4, sk3, sk2           skips.0, .1, .2, .3 .conv
             bn5, bn4, bn3, bn2           skips.0, .1, .2, .3 .norm
    decoder  clstm_list.0 to .3 .Gates    levels.0 to .3 .gates
             conv_out                     predictor      fc_stop, a branch that the published code never ran, is not used

Backbone, hidden size, and whether a mask goes in (one-shot) or not (zero-shot) are read off the shapes. The recurrence can't be: all three
have the same weights. A folder converted from a spatial-only or temporal-only model is loaded with recurrence="spatial" or "temporal".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.convert.folder import write_folder
from vos_zoo.convert.published import Published, read_published
from vos_zoo.errors import CheckpointError

LICENCE = "Non-commercial use only, by the terms of the authors' repository (github.com/imatge-upc/rvos)."
ORIGIN = "The authors' weights (encoder.pt, decoder.pt), linked to in github.com/imatge-upc/rvos."
SIZE = (256, 448)  # what the YouTube-VOS models were trained and run at; those for DAVIS at 240x427
UNUSED = r"base\.fc\.(weight|bias)|fc_stop\..*"
_TRUNKS: dict[tuple[bool, tuple[int, ...]], str] = {
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
}
_ENCODER_HAS, _DECODER_HAS = "sk5.weight", "clstm_list.0.Gates.weight"


def convert(
    encoder: str | os.PathLike[str], decoder: str | os.PathLike[str], out: str | os.PathLike[str], *, dtype: str = "float32"
) -> Path:
    """encoder.pt and decoder.pt of one model -> the folder `out`, which `vos_zoo.load(out)` takes. Returns it.

    dtype: of the stored weights, "float32", "float16" or "bfloat16".
    Raises CheckpointError when a file is not read or does not fit, naming the keys; SaveError when `out` is taken.
    """
    files = [read_published(encoder), read_published(decoder)]
    _check_roles(*files)
    tensors = {**files[0].tensors, **files[1].tensors}
    args = infer(tensors, " and ".join(str(file.path) for file in files))
    kind = "-zeroshot" if args["zero_shot"] else ""
    config = ModelConfig(
        name=f"rvos-{args['backbone']}{kind}-official",
        architecture="RVOS",
        model_args=args,
        preprocess=Preprocess(size=SIZE),
        licence=LICENCE,
        description=f"the authors' {'zero' if args['zero_shot'] else 'one'}-shot RVOS ({args['backbone']}), converted",
        **catalogue.facts("rvos-resnet101"),
    )
    return write_folder(out, config, files, tensors, spelling, unused=UNUSED, origin=ORIGIN, dtype=dtype)


def infer(tensors: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """backbone, hidden and zero_shot from the shapes of the published tensors; CheckpointError if they are of no known RVOS."""
    blocks = tuple(len({key.split(".")[2] for key in tensors if key.startswith(f"base.layer{n}.")}) for n in (1, 2, 3, 4))
    if not any(blocks):
        raise CheckpointError(
            f"{source}: the backbone is no ResNet (there is no base.layer1), as in the authors' VGG-16 variant, for "
            "which there is no trunk here. Take a model with resnet34, resnet50 or resnet101."
        )
    bottleneck = "base.layer1.0.conv3.weight" in tensors
    if (bottleneck, blocks) not in _TRUNKS:
        raise CheckpointError(
            f"{source}: base.layer1 to layer4 have {blocks} {'bottleneck' if bottleneck else 'basic'} blocks, which is none of "
            f"{', '.join(_TRUNKS.values())}. Check that it is the authors' file, and whole."
        )
    skip, gates = tensors[_ENCODER_HAS], tensors[_DECODER_HAS]
    hidden, inputs = skip.shape[0] if skip.ndim else 0, gates.shape[1] if gates.ndim == 4 else 0
    if inputs not in (3 * hidden, 3 * hidden + 1):
        raise CheckpointError(
            f"{source}: {_DECODER_HAS} takes {inputs} channels, but {_ENCODER_HAS} gives {hidden}, which makes {3 * hidden} without a mask "
            f"(zero-shot) or {3 * hidden + 1} with one (one-shot). Are encoder and decoder of the same model?"
        )
    return {"backbone": _TRUNKS[bottleneck, blocks], "hidden": hidden, "zero_shot": inputs == 3 * hidden}


def spelling(key: str) -> tuple[str, ...]:
    """A key of our model -> the authors'."""
    if key.startswith("trunk.net."):
        return (f"base.{key.removeprefix('trunk.net.')}",)
    room, *rest = key.split(".")
    if room == "skips":
        number, layer, kind = rest
        return (f"{'sk' if layer == 'conv' else 'bn'}{5 - int(number)}.{kind}",)
    if room == "levels":
        return (f"clstm_list.{rest[0]}.Gates.{rest[-1]}",)
    return (f"conv_out.{rest[-1]}",)


def _check_roles(encoder: Published, decoder: Published) -> None:
    if _DECODER_HAS in encoder.tensors and _ENCODER_HAS in decoder.tensors:
        raise CheckpointError(f"{encoder.path} is the decoder and {decoder.path} the encoder. Give them the other way round.")
    for role, file, key in (("encoder", encoder, _ENCODER_HAS), ("decoder", decoder, _DECODER_HAS)):
        if key not in file.tensors:
            known = ", ".join(list(file.tensors)[:3])
            raise CheckpointError(f"{file.path} is no {role} of RVOS: it has no {key}, but {known}, ... Give encoder.pt, then decoder.pt.")
