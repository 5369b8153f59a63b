"""From a config to its model, with the weights of its checkpoint or with random ones. Knows no Segmenter.

The order is the safety: a config can only name a class that `models/discovery.py` knows; its arguments are checked before the model is
built; the model is built without memory before the weights are fetched; what they may weigh at most follows from it; and their header is
compared with it before a tensor is read. Imports no torch until a model is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vos_zoo.checkpoints import weights
from vos_zoo.checkpoints.arguments import checked_args
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.sources import Source
from vos_zoo.errors import CheckpointError, VosZooError, did_you_mean
from vos_zoo.models import discovery

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel

MAX_PARAMETERS = 10**9
_LOAD_ARGUMENTS = ("device", "dtype", "revision", "token", "local_files_only", "cache_dir", "redetection", "runtime")


def trained(source: Source, model_args: Mapping[str, Any] | None = None) -> tuple[VOSModel, ModelConfig]:
    """The model of a checkpoint that has been found, with its weights, on the CPU; and its config, every argument spelt out.

    Args:
        source: as `sources.find` gives it.
        model_args: replace arguments of the config.

    Raises:
        ModelNotFoundError: the config names no weights, or they can't be fetched.
        CheckpointError: config or weights are corrupt, do not fit each other, or hold NaN.
    """
    if source.config.weights is None:
        raise source.lacks_weights()
    architecture, config = resolved(source.config, model_args or {}, source.label)
    outline = outlined(architecture, config, source.label)
    weights.check_size(outline, source.config.weights, source.label)
    pieces = source.files()
    weights.check_fit(outline, *pieces)
    from vos_zoo.system.host import undisturbed_building

    with undisturbed_building():
        model = _built_quietly(architecture, config)
        weights.load_weights(model, *pieces)
    return model.eval(), config


def untrained(
    config: ModelConfig, model_args: Mapping[str, Any] | None = None, *, label: str | None = None
) -> tuple[VOSModel, ModelConfig]:
    """The model of a config with random weights, on the CPU; and the config, every argument spelt out, without weights and scores.

    Args:
        config: what to build.
        model_args: replace arguments of the config.
        label: what messages call the config.

    Raises:
        CheckpointError: the config or model_args are wrong.
    """
    label = label or f"the config {config.name!r}"
    architecture, config = resolved(config, model_args or {}, label)
    outlined(architecture, config, label)
    from vos_zoo.system.host import undisturbed_building

    with undisturbed_building():
        return architecture(architecture.Config(**config.model_args)).eval(), config.replace(weights=None, metrics=[])


def check_follows(config: ModelConfig) -> None:
    """VosZooError if a checkpoint makes masks of clicks and follows none."""
    if config.architecture in discovery.POINTING:
        raise VosZooError(
            f"{config.name} makes the first mask of clicks and follows nothing. For a mask: vos_zoo.point(image, points=[(x, y)]). "
            "To follow what is clicked on: vos_zoo.load('crvos').propagate(video, points=[(x, y)])"
        )


def resolved(config: ModelConfig, overrides: Mapping[str, Any], label: str) -> tuple[type[VOSModel], ModelConfig]:
    """The class, and the config with every model argument spelt out, defaults included."""
    try:
        architecture = discovery.architecture_class(config.architecture)
    except CheckpointError as error:
        raise CheckpointError(f"{label}: {error}") from error
    known = [each.name for each in dataclasses.fields(architecture.Config)]
    for name in overrides:
        if name not in known:
            raise CheckpointError(
                f"{name!r} is an argument neither of load() nor of {config.architecture}."
                f"{did_you_mean(name, [*known, *_LOAD_ARGUMENTS])} "
                f"{config.architecture} knows {', '.join(sorted(known))}."
            )
    args = checked_args(architecture.Config, {**config.model_args, **overrides}, source=label)
    try:
        arguments = architecture.Config(**args)
    except Exception as error:  # whatever a wrong value makes of a Config that checks it
        raise CheckpointError(f"{label}: model_args of {config.architecture}: {str(error):.1000}") from error
    return architecture, config.replace(model_args=dataclasses.asdict(arguments))


def outlined(architecture: type[VOSModel], config: ModelConfig, label: str) -> VOSModel:
    """The model on torch's "meta" device, where it takes no memory. CheckpointError if it can't be built, or is too large."""
    import torch

    from vos_zoo.system.host import undisturbed_building

    try:
        with undisturbed_building(), torch.device("meta"):
            model = architecture(architecture.Config(**config.model_args))
    except VosZooError:
        raise
    except Exception as error:  # whatever a wrong argument makes of torch and timm
        raise CheckpointError(f"{label}: {config.architecture} can't be built with these model_args: {str(error):.1000}") from error
    parameters = sum(each.numel() for each in model.state_dict().values())
    if parameters > MAX_PARAMETERS:
        raise CheckpointError(
            f"{label}: its model_args make a {config.architecture} of {parameters:,} "
            f"values; at most {MAX_PARAMETERS:,} are allowed. Correct the model_args."
        )
    return model


def _built_quietly(architecture: type[VOSModel], config: ModelConfig) -> VOSModel:
    """Random weights are about to be overwritten: the caller's random state stays as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return architecture(architecture.Config(**config.model_args))
