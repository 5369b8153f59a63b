"""How frames go into a model: at which size, and in how many views. Checked once, then handed on whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import numpy as np

from vos_zoo.errors import VosZooError
from vos_zoo.system.shown import shown

LARGEST = 2**15  # pixels of a side inside a model
InputSize: TypeAlias = int | tuple[int, int] | str | None  # what `size=` takes: the shorter side, (height, width), "native", None


@dataclass(frozen=True)
class TTA:
    """Test-time augmentation: the views of a frame whose predictions are averaged.

    The cost is one pass a view, and a state a view: six by default.

    Args:
        flip: whether each view is also mirrored left to right.
        scales: factors of the size inside the model, different ones, from 0.1 to 10.

    Raises:
        VosZooError: `flip` or `scales` is none of these.

    Example:
        >>> import vos_zoo
        >>> vos_zoo.TTA(flip=True, scales=(1, 1.2)).views
        [(1.0, False), (1.2, False), (1.0, True), (1.2, True)]
    """

    flip: bool = True
    scales: tuple[float, ...] = (1.0, 1.2, 1.4)

    def __post_init__(self) -> None:
        numbers = isinstance(self.scales, (tuple, list)) and all(
            isinstance(s, (int, float)) and not isinstance(s, bool) and 0.1 <= s <= 10 for s in self.scales
        )
        if not numbers or not self.scales or len(set(self.scales)) < len(self.scales):
            raise VosZooError(f"scales are different factors from 0.1 to 10, for instance (1.0, 1.2, 1.4), not {shown(self.scales)}")
        if not isinstance(self.flip, bool):
            raise VosZooError(f"flip is True or False, not {shown(self.flip)}")
        object.__setattr__(self, "scales", tuple(map(float, self.scales)))

    @classmethod
    def of(cls, given: TTALike) -> TTA:
        """From what `tta=` takes: None, False, True, "flip", "scales" or a TTA. VosZooError for anything else."""
        if isinstance(given, TTA):
            return given
        named = {None: cls(False, (1.0,)), False: cls(False, (1.0,)), True: cls(), "flip": cls(True, (1.0,)), "scales": cls(False)}
        if (given is None or isinstance(given, (bool, str))) and given in named:
            return named[given]
        raise VosZooError(f"tta is True, 'flip', 'scales', TTA(flip=..., scales=...) or None, not {shown(given)}")

    @property
    def views(self) -> list[tuple[float, bool]]:
        """(scale, flipped) of each."""
        return [(scale, flipped) for flipped in (False, True)[: 1 + self.flip] for scale in self.scales]


TTALike: TypeAlias = TTA | bool | str | None  # what `tta=` takes


@dataclass(frozen=True)
class InputSpec:
    """The size inside the model and the views of each frame; `of` makes one from what a caller gave.

    Exactly one of `short_side`, `exact` and `native` says the size; none of them: what the checkpoint was made for.
    """

    short_side: int | None = None
    exact: tuple[int, int] | None = None  # (height, width)
    native: bool = False  # the video's own size
    tta: TTA = TTA(flip=False, scales=(1.0,))

    @classmethod
    def of(cls, size: InputSize = None, tta: TTALike = None) -> InputSpec:
        """From the arguments `size` and `tta` of `Segmenter.propagate`. VosZooError if one of them can't be right for any model."""
        views = TTA.of(tta)
        if size is None:
            return cls(tta=views)
        if isinstance(size, str) and size == "native":
            return cls(native=True, tta=views)
        if _whole(size):
            return cls(short_side=int(size), tta=views)
        if isinstance(size, (tuple, list)) and len(size) == 2 and all(map(_whole, size)):
            return cls(exact=(int(size[0]), int(size[1])), tta=views)
        raise VosZooError(f"size is the shorter side in pixels, (height, width) or 'native', not {shown(size)}: at most {LARGEST} a side")

    def check_fits(self, stride: int) -> None:
        """VosZooError if a side is smaller than the model's stride."""
        smallest = min(self.exact) if self.exact else self.short_side
        if smallest is not None and smallest < stride:
            raise VosZooError(f"size {self.exact or self.short_side} is too small: this model needs at least {stride} pixels a side")


def _whole(number: object) -> TypeGuard[int]:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool) and bool(number <= LARGEST)
