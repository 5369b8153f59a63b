"""Published tensors into a model and, once it has been tried, into a checkpoint folder."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vos_zoo import __version__
from vos_zoo.checkpoints.build import outlined, resolved, trained, untrained
from vos_zoo.checkpoints.card import model_card
from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig
from vos_zoo.checkpoints.save import save
from vos_zoo.checkpoints.sources import in_folder
from vos_zoo.convert.published import Published
from vos_zoo.errors import CheckpointError, SaveError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.leftovers import contents
from vos_zoo.system.paths import user_path

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel

Spelling = Callable[[str], tuple[str, ...]]  # a key of the model -> the authors' keys of its parts, which stand one after another in dim 1
_SHOWN = 10


def write_folder(
    out: str | os.PathLike[str],
    config: ModelConfig,
    files: Sequence[Published],
    tensors: Mapping[str, Tensor],
    spelling: Spelling,
    *,
    unused: str,
    origin: str,
    dtype: str = "float32",
) -> Path:
    """Build the config's model, give it the published tensors, and write the folder that `vos_zoo.load` takes.

    The folder appears when it has been loaded, strictly, and its model has made one step.
    tensors: of all files together, by the authors' names. unused: a regular expression of names that no model needs. origin: a sentence on
    where the authors published them.
    Raises CheckpointError that names the keys which don't fit, SaveError when `out` is taken; nothing is left at `out` then.
    """
    out = user_path(out)
    try:
        taken = out.is_file() or (out.is_dir() and bool(contents(out)))
    except OSError as error:
        raise SaveError(f"{out} can't be looked into ({error.strerror or error}). Choose another folder.") from error
    if taken:
        raise SaveError(f"{out} exists already. Choose a folder that does not, or one that is empty.")
    provenance = {"data": origin, "converted_from": [file.source() for file in files], "converter": f"vos_zoo {__version__}"}
    config = config.replace(training=provenance)
    names = " and ".join(str(file.path) for file in files)
    outline = outlined(*resolved(config, {}, names), names)  # a file that does not fit is refused before the model takes memory
    fit(tensors, outline.state_dict(), spelling, unused=unused, source=names, model=config.name)
    model, config = untrained(config)
    state = fit(tensors, model.state_dict(), spelling, unused=unused, source=names, model=config.name)
    model.load_state_dict(state)
    with atomic_write(out) as beside:
        save(model, config, beside, dtype=dtype)
        (beside / "README.md").write_text(model_card(ModelConfig.read(beside / CONFIG_FILE)), encoding="utf-8")
        try_one_step(trained(in_folder(beside))[0], names)
    return out


def fit(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], spelling: Spelling, *, unused: str, source: str, model: str
) -> dict[str, Tensor]:
    """The model's state out of published tensors. CheckpointError lists missing, unexpected and mis-shaped keys as the authors spell them.

    Batch norm's num_batches_tracked, which torch has known since 0.4.1 and frozen statistics don't need, may be missing.
    """
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    unlike: list[str] = []
    used: set[str] = set()
    for key, own in wanted.items():
        parts = spelling(key)
        used.update(parts)
        absent = [part for part in parts if part not in tensors]
        if absent and key.endswith("num_batches_tracked"):
            state[key] = torch.zeros_like(own)
        elif absent:
            missing += absent
        elif (shape := _joined_shape([tensors[part] for part in parts])) != tuple(own.shape):
            unlike.append(f"{' + '.join(parts)}: {list(shape or ())} in the file, {list(own.shape)} in the model")
        else:
            state[key] = torch.cat([tensors[part] for part in parts], 1) if len(parts) > 1 else tensors[parts[0]]
    unexpected = [key for key in tensors if key not in used and not re.fullmatch(unused, key)]
    if missing or unexpected or unlike:
        raise CheckpointError(
            f"{source} does not fit {model}; nothing was written.\n"
            + _listing("missing from the file", missing)
            + _listing("unexpected in the file", unexpected)
            + _listing("of another shape", unlike)
            + "Check that it is this model's file, as its authors published it."
        )
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())]
    if broken:
        raise CheckpointError(
            f"{source} holds NaN or infinity; nothing was written.\n{_listing('tensors that are not finite', broken)}Fetch it again."
        )
    return state


@torch.no_grad()
def try_one_step(model: VOSModel, source: str) -> None:
    """Start on one small frame and step on another. CheckpointError if what comes out are no probabilities."""
    side = 2 * max(32, model.stride)
    frames = torch.linspace(0, 1, 2 * 3 * side * side).sin().abs().view(2, 3, side, side)
    masks = torch.zeros(1, 1, side, side)
    masks[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    state = model.start(model.encode(frames[:1]), None if model.finds_objects else masks)
    probs, _ = model.step(model.encode(frames[1:]), state)
    if not math.isclose(float(probs.sum(1).mean()), 1, abs_tol=1e-3) or not bool(torch.isfinite(probs).all()):
        raise CheckpointError(f"the model converted from {source} gives no probabilities on a trial frame; its weights are not sound.")


def _joined_shape(parts: Sequence[Tensor]) -> tuple[int, ...] | None:
    shapes = [tuple(part.shape) for part in parts]
    if len(shapes) == 1:
        return shapes[0]
    if any(len(shape) < 2 or shape[:1] + shape[2:] != shapes[0][:1] + shapes[0][2:] for shape in shapes):
        return None
    return (shapes[0][0], sum(shape[1] for shape in shapes), *shapes[0][2:])


def _listing(title: str, lines: Iterable[str]) -> str:
    lines = sorted(lines)
    if not lines:
        return ""
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"  {title} ({len(lines)}):", *(f"    {line}" for line in [*lines[:_SHOWN], *more])]) + "\n"
