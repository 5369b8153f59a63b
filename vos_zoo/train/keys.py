"""Where the keys of a model that matches begin: as the principal directions of its trunk's features over stills.

Directions that vary most from place to place tell places apart best: a cosine in the space that the first hundred or so span is close to
that of the features themselves, at an eighth of the cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.models.base import VOSModel
from vos_zoo.train.sources.stills import StillBank

SHORT_SIDE = 224  # of the stills, pixels


def keyless(config: object) -> object:
    """A model's arguments but for its keys: what must be the same where keys are fitted anyway."""
    own: Any = config
    return replace(own, matched=0) if hasattr(own, "matched") else own


def are_keys(name: str) -> bool:
    """Whether a parameter of that name belongs to the keys."""
    return name.startswith("keys.")


@torch.no_grad()
def fit_keys(model: VOSModel, bank: StillBank, count: int) -> None:
    """Set the model's keys by `count` stills of the bank, evenly spaced. DataError if the model has none to set, or the bank too few."""
    keys: Any = getattr(model, "keys", None)
    shows = hasattr(model, "shows")
    if keys is None and not shows:
        raise DataError("keys_from is for a model that matches, and this one does not: set model_args: {matched: 128}, or keys_from to 0")
    if count > len(bank):
        raise DataError(f"keys_from wants {count} stills, and there are {len(bank)}")
    if shows:
        return _fit_shows(model, bank, count)
    device = keys.project.weight.device
    total: Tensor | None = None
    for still in _stills(model, bank, count, device):
        cells = model.describe(model.encode(still))[0].flatten(1).double()
        cells = cells - cells.mean(1, keepdim=True)
        covariance = cells @ cells.T / cells.shape[1]
        total = covariance if total is None else total + covariance
    assert total is not None
    directions = torch.linalg.eigh(total)[1].flip(1).T
    keys.project.weight.copy_(directions[: len(keys.project.weight), :, None, None])


def _stills(model: VOSModel, bank: StillBank, count: int, device: torch.device) -> Iterator[Tensor]:
    """So many stills, evenly spaced, as frames (1, 3, H, W)."""
    for n in torch.linspace(0, len(bank) - 1, count).round().long().tolist():
        aspect = float(bank.aspects[n])
        sides = (SHORT_SIDE * max(1.0, 1 / aspect), SHORT_SIDE * max(1.0, aspect))
        size = [max(1, round(side / model.stride)) * model.stride for side in sides]
        yield F.interpolate(bank.textures[n : n + 1, :3].to(device).float() / 255, size, mode="bilinear", align_corners=False)


def _fit_shows(model: Any, bank: StillBank, count: int) -> None:
    """Each of the model's `shows` becomes the principal directions of what it is shown, about its mean, with a mean variance of one."""
    shows = model.shows
    sums: list[Tensor] = [torch.zeros(())] * len(shows)
    squares, cells = list(sums), [0] * len(shows)
    for still in _stills(model, bank, count, shows[0].weight.device):
        for n, seen in enumerate(model.seen(still)):
            places = seen[0].flatten(1).double()
            sums[n], squares[n], cells[n] = sums[n] + places.sum(1), squares[n] + places @ places.T, cells[n] + places.shape[1]
    for show, total, square, number in zip(shows, sums, squares, cells, strict=True):
        mean = total / number
        variances, directions = torch.linalg.eigh(square / number - mean[:, None] * mean)
        kept = directions.flip(1)[:, : show.out_channels] * variances.flip(0)[: show.out_channels].mean().clamp(min=1e-12) ** -0.5
        show.weight.copy_(kept.T[:, :, None, None])
        show.bias.copy_(-(mean @ kept))
