"""How a visitor wants the objects of a result: what each is called, its colour, and whether it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import vos_zoo
from studio.drawing import colour_of

LONGEST = 40  # characters of a name
MOST = 255  # objects of which something is said


@dataclass(frozen=True)
class Looks:
    """Of objects that are not in it nothing was said: they keep their number, their usual colour, and are shown."""

    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)  # "#rrggbb"
    hidden: frozenset[int] = frozenset()

    @classmethod
    def read(cls, value: Any) -> Looks:
        """Of what the player sends. ValueError if it can't have come from there."""
        try:
            rows = [(int(each["id"]), str(each["name"]).strip(), str(each["colour"]), bool(each["shown"])) for each in value["objects"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError("the objects can't be read") from error
        if len(rows) > MOST or not all(k > 0 and len(name) <= LONGEST and _is_colour(colour) for k, name, colour, _ in rows):
            raise ValueError("the objects can't be read")
        return cls(
            {k: name for k, name, _, _ in rows if name not in ("", f"Object {k}")},
            {k: colour.lower() for k, _, colour, _ in rows if colour.lower() != colour_of(k)},
            frozenset(k for k, *_, shown in rows if not shown),
        )

    def name(self, k: int) -> str:
        return self.names.get(k, f"Object {k}")

    def colour(self, k: int) -> str:
        return self.colours.get(k, colour_of(k))

    def only_shown(self, masks: vos_zoo.MaskSequence) -> vos_zoo.MaskSequence:
        """The masks without the hidden objects. MaskError if nothing is left."""
        ids = [k for k in masks.object_ids if k not in self.hidden]
        if not ids:
            raise vos_zoo.MaskError("all objects are hidden: show one of them first")
        if len(ids) == len(masks.object_ids):
            return masks
        left = vos_zoo.MaskSequence(masks.size, ids, fps=masks.fps)
        for labels, row in zip(masks, masks.lost, strict=True):
            gone = [k for k, lost in zip(masks.object_ids, row, strict=True) if lost and k in ids]
            left.append(np.where(np.isin(labels, ids), labels, 0), lost=gone)
        return left


USUAL = Looks()


def _is_colour(text: str) -> bool:
    return re.fullmatch(r"#[0-9a-fA-F]{6}", text) is not None
