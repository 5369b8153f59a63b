"""Arguments of callers, checked one by one: the error says the argument, the value found, and what is wanted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vos_zoo.errors import VosZooError
from vos_zoo.system.shown import shown


def whole(value: object, what: str, low: int, high: int, error: type[VosZooError] = VosZooError) -> int:
    """A whole number from `low` to `high`; 4.0 counts as one, True and "4" don't. Raises `error`."""
    good = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    good = good or (isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value))
    number = int(value) if good else low - 1  # type: ignore[call-overload]
    if not low <= number <= high:
        raise error(f"{what} must be a whole number from {low} to {high}, not {shown(value)}")
    return int(number)


def real(value: object, what: str, low: float = -math.inf, high: float = math.inf, error: type[VosZooError] = VosZooError) -> float:
    """A finite number from `low` to `high`. Raises `error`."""
    number = as_number(value)
    if not (math.isfinite(number) and low <= number <= high):
        bounds = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
        raise error(f"{what} must be a finite number{bounds}, not {shown(value)}")
    return number


def as_number(value: object) -> float:
    """A number of any kind as a float; NaN for anything else, and for what no float holds."""
    if isinstance(value, bool) or not (isinstance(value, (int, float, np.number)) or _is_fraction(value)):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return math.nan


def flag(value: object, what: str, error: type[VosZooError] = VosZooError) -> bool:
    """True or False. Raises `error` for what is neither, such as an array."""
    try:
        return bool(value)
    except Exception as none:  # whatever a foreign __bool__ raises
        raise error(f"{what} is True or False, not {shown(value)}") from none


def entries(value: Any, what: str, error: type[VosZooError] = VosZooError) -> list[Any]:
    """A list, or the entries of another iterable that is no text. Raises `error`."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return list(value)
    except TypeError:
        raise error(f"{what} must be a list, not {shown(value)}") from None


def _is_fraction(value: object) -> bool:
    return type(value).__name__ == "Fraction"
