"""What a file may claim before memory is taken for it: one table, which whoever needs more can raise.

    name       default          of what
    side       32768            pixels of the longer side of a picture
    pixels     67108864         pixels of a picture (8192 x 8192)
    frames     1000000          frames that one file or folder is said to hold
    unpacked   4294967296       bytes that an archive or array grows to when it is unpacked
    nesting    64               levels of lists and mappings within each other (JSON, YAML)

A limit is raised for one process by `set_limits(pixels=200_000_000)`, and for it and those that it starts by the environment variable
VOS_ZOO_MAX_PIXELS (VOS_ZOO_MAX_ and the name).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from vos_zoo.errors import VosZooError
from vos_zoo.system.shown import shown

DEFAULTS: Mapping[str, int] = MappingProxyType(
    {"side": 2**15, "pixels": 2**26, "frames": 10**6, "unpacked": 2**32, "nesting": 64},
)
_UNITS = {
    "side": "pixels a side",
    "pixels": "pixels",
    "frames": "frames",
    "unpacked": "bytes when unpacked",
    "nesting": "levels within each other",
}
_PREFIX = "VOS_ZOO_MAX_"
_raised: dict[str, int] = {}


def limit(name: str) -> int:
    """The limit of that name that holds now.

    Raises:
        VosZooError: the environment variable for it is no whole number above 0.
    """
    default = DEFAULTS[name]
    if name in _raised:
        return _raised[name]
    text = os.environ.get(f"{_PREFIX}{name.upper()}", "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise VosZooError(f"{_PREFIX}{name.upper()}={text[:40]!r} is no whole number above 0: the default is {default}")
    return int(text)


def set_limits(**limits: int | None) -> None:
    """Sets limits for this process; None goes back to the environment's or the default.

    Raises:
        VosZooError: there is no such limit, or a value is no whole number above 0.

    Example:
        >>> set_limits(pixels=200_000_000)  # for pictures of 20,000 x 10,000
        >>> set_limits(pixels=None)
    """
    for name, value in limits.items():
        if name not in DEFAULTS:
            raise VosZooError(f"there is no limit {name!r}: the limits are {', '.join(DEFAULTS)}")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise VosZooError(f"the limit {name} must be a whole number above 0, not {shown(value)}")
    for name, value in limits.items():
        if value is None:
            _raised.pop(name, None)
        else:
            _raised[name] = value


def check_limit(name: str, found: int, what: str, error: type[VosZooError] = VosZooError) -> None:
    """Raises `error` if a claim is over a limit, with the way to raise it.

    Args:
        name: of the limit.
        found: what is claimed.
        what: whose claim it is, at the beginning of the sentence: "the mask a.npy".
        error: kind of the exception.
    """
    if found > (most := limit(name)):
        raise error(
            f"{what} is said to have {found} {_UNITS[name]}, more than the limit of {most}, so it was not read: if that is right, raise "
            f"the limit with {_PREFIX}{name.upper()}={found}"
        )


def check_picture(height: int, width: int, what: str, error: type[VosZooError] = VosZooError) -> None:
    """`check_limit` of a picture's longer side and of its pixels, before it is decoded."""
    named = f"{what} ({width}x{height}, width x height)"
    check_limit("side", max(height, width), named, error)
    check_limit("pixels", height * width, named, error)
