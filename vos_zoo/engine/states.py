"""States of several videos as one, and apart again, whatever the model keeps in them.

A State is a NamedTuple of tensors whose first two dimensions are B clips and K objects; `masks` and `active` are two of them. Clips are
joined along B. Those with fewer objects get slots behind their own: not active, without a mask, and otherwise like their last object.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from vos_zoo.models.base import State


def join(states: Sequence[State]) -> State:
    """States of one `signature` -> one State, B and K as large as the sum and the largest of theirs."""
    if len(states) == 1:
        return states[0]
    slots = max(state.masks.shape[1] for state in states)
    filled = [_filled(state, slots) for state in states]
    return states[0]._replace(**{name: torch.cat([fields[name] for fields in filled]) for name in states[0]._fields})


def split(state: State, slots: Sequence[int]) -> list[State]:
    """What `join` made of len(slots) clips, apart again: clip n with its first slots[n] objects."""
    if len(slots) == 1:
        return [state]
    fields = _by_name(state)
    return [state._replace(**{name: field[n : n + 1, :k] for name, field in fields.items()}) for n, k in enumerate(slots)]


def signature(state: State) -> Hashable:
    """Equal for states that can be joined: kind, and shapes but for B and K."""
    return type(state), tuple((field.dtype, tuple(field.shape[2:])) for field in state)


def bytes_of(state: State) -> int:
    """The size of a State."""
    return sum(field.numel() * field.element_size() for field in state)


def _by_name(state: State) -> dict[str, Tensor]:
    return dict(zip(state._fields, state, strict=True))


def _filled(state: State, slots: int) -> dict[str, Tensor]:
    missing = slots - state.masks.shape[1]
    fields = _by_name(state)
    if not missing:
        return fields
    more = {name: field[:, -1:].expand(-1, missing, *field.shape[2:]) for name, field in fields.items()}
    for name in ("masks", "active"):
        more[name] = torch.zeros_like(more[name])
    return {name: torch.cat([field, more[name]], 1) for name, field in fields.items()}
