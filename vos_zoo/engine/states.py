"""States of several videos as one, and apart again, whatever the model keeps in them.

A State is a NamedTuple of tensors whose first two dimensions are B clips and K objects; `masks` and `active` are two of them. Clips are
joined along B. Those with fewer objects get slots behind their own: not active, without a mask, and otherwise like their last object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def join(states: Sequence[Any]) -> Any:
    """States of one `signature` -> one State, B and K as large as the sum and the largest of theirs."""
    if len(states) == 1:
        return states[0]
    slots = max(state.masks.shape[1] for state in states)
    filled = [_filled(state, slots) for state in states]
    return type(states[0])(*map(torch.cat, zip(*filled, strict=True)))


def split(state: Any, slots: Sequence[int]) -> list[Any]:
    """What `join` made of len(slots) clips, apart again: clip n with its first slots[n] objects."""
    if len(slots) == 1:
        return [state]
    return [type(state)(*(field[n : n + 1, :k] for field in state)) for n, k in enumerate(slots)]


def signature(state: Any) -> Any:
    """Equal for states that can be joined: kind, and shapes but for B and K."""
    return type(state), tuple((field.dtype, tuple(field.shape[2:])) for field in state)


def _filled(state: Any, slots: int) -> list[Tensor]:
    missing = slots - state.masks.shape[1]
    if not missing:
        return list(state)
    more = {name: field[:, -1:].expand(-1, missing, *field.shape[2:]) for name, field in zip(state._fields, state, strict=True)}
    for name in ("masks", "active"):
        more[name] = torch.zeros_like(more[name])
    return [torch.cat([field, more[name]], 1) for name, field in zip(state._fields, state, strict=True)]
