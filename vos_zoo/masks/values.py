"""Values from files and callers, checked one by one: the error says the key, what was found there, and what is wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vos_zoo.errors import MaskError
from vos_zoo.system import values
from vos_zoo.system.shown import shown


def whole(value: object, what: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`; 4.0 counts as one, True and "4" don't. Raises MaskError."""
    return values.whole(value, what, low, high, MaskError)


def real(value: object, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number from `low` to `high`. Raises MaskError."""
    return values.real(value, what, low, high, MaskError)


def text(value: object, what: str) -> str:
    """A string. Raises MaskError."""
    if not isinstance(value, str):
        raise MaskError(f"{what} must be a string, not {shown(value)}")
    return value


def named(value: object) -> str:
    """What somebody calls a thing, as text: a string as it is, anything else as a message shows it, however deep it is nested."""
    return value if isinstance(value, str) else shown(value)


def items(value: object, what: str, length: int | None = None) -> list[Any]:
    """A list, of that length if one is given. Raises MaskError."""
    if not isinstance(value, (list, tuple)):
        raise MaskError(f"{what} must be a list, not {shown(value)}")
    if length is not None and len(value) != length:
        raise MaskError(f"{what} must have {length} entries, not {len(value)}")
    return list(value)


def mapping(value: object, what: str) -> Mapping[Any, Any]:
    """A JSON object, or any other mapping. Raises MaskError."""
    if not isinstance(value, Mapping):
        raise MaskError(f"{what} must be an object {{key: value}}, not {shown(value)}")
    return value


def entry(record: Mapping[Any, Any], key: str, what: str) -> Any:
    """record[key]. Raises MaskError, with the keys that there are, if it is missing."""
    if key not in record:
        raise MaskError(f"{what} has no {key!r}; its keys are {shown(sorted(map(named, record)))}")
    return record[key]
