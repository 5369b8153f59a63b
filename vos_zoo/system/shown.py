"""A value as an error message shows it: short, whatever it is."""

from __future__ import annotations

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 80, 80, 60


def shown(value: object, most: int = 160) -> str:
    """`repr`, cut to so many letters; long lists, deep nesting and long numbers are cut before they are written out.

    Example:
        >>> shown(list(range(1000)))
        '[0, 1, 2, 3, 4, 5, ...]'
    """
    try:
        text = _SHORT.repr(value)
    except Exception:  # a number of over 4300 digits, or somebody's own __repr__
        text = f"a {type(value).__name__} that can't be written out"
    return text if len(text) <= most else f"{text[: most - 3]}..."
