"""How much work goes into masks, in one word: how large frames are inside the model, and whether it first learns the annotated ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from vos_zoo.errors import VosZooError
from vos_zoo.system.shown import shown

if TYPE_CHECKING:
    from vos_zoo.checkpoints.config import ModelConfig


class Quality(NamedTuple):
    scale: float  # of the size that the checkpoint was made for
    adapts: bool  # whether a copy of the model first learns the objects of the annotated frames (`Segmenter.finetune`)


QUALITIES = {"fast": Quality(0.625, False), "normal": Quality(1.0, False), "best": Quality(1.25, True)}


def quality_of(name: object, runtime: str = "torch") -> Quality:
    """Of that name. VosZooError if there is none, or if what computes the model can't do it."""
    if not isinstance(name, str) or name not in QUALITIES:
        raise VosZooError(f"quality is {', '.join(map(repr, QUALITIES))}, not {shown(name)}")
    if QUALITIES[name].adapts and runtime != "torch":
        raise VosZooError(
            f"quality={name!r} trains a copy of the model, and graphs can't be trained: take runtime='torch', or another quality"
        )
    return QUALITIES[name]


def scaled(config: ModelConfig, quality: Quality) -> ModelConfig:
    """The config with the size inside the model that goes with a quality. VosZooError if it is that of the video, whatever it is."""
    if quality.scale == 1:
        return config
    side, size, largest = config.preprocess.short_side, config.preprocess.size, config.preprocess.largest
    if size is not None:
        wanted = replace(config.preprocess, size=(round(size[0] * quality.scale), round(size[1] * quality.scale)))
    elif side is not None:
        side = round(side * quality.scale)
        wanted = replace(config.preprocess, short_side=side if largest is None else min(side, largest))
    else:
        raise VosZooError(
            f"{config.name} works at the size of the video, so that it has no faster or better one: leave quality out, or give size="
        )
    return config.replace(preprocess=wanted)
