"""JSON of strangers: what a parser takes on good faith is checked before anybody works with it."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from vos_zoo.system.limits import limit

_DIGITS = 40  # of a whole number; 2**63 has 19


def parse(text: str | bytes) -> Any:
    """The value of a JSON document.

    Args:
        text: the document; bytes are UTF-8.

    Raises:
        ValueError: it is no JSON; a number is too long, infinite or not a number; a key stands twice in one object; lists and objects
            stand deeper within each other than `limits.py` allows; a string holds half a character. The message is a phrase.

    Example:
        >>> parse('{"sides": [480, 854]}')
        {'sides': [480, 854]}
    """
    try:
        document = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(document, parse_int=_whole, parse_float=_number, parse_constant=_no_number, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    _check_tree(value)
    return value


def _check_tree(value: object) -> None:
    """Depth and strings, without recursion."""
    most = limit("nesting")
    waiting = [(value, 1)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, str):
            if not each.isascii():
                _check_string(each)
        elif isinstance(each, (list, dict)):
            if depth > most:
                raise ValueError(_too_deep())
            waiting.extend((one, depth + 1) for one in (each.values() if isinstance(each, dict) else each))
            if isinstance(each, dict):
                waiting.extend((key, depth) for key in each)


def _check_string(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"the string {text[:40]!r} holds half of a character (a lone surrogate)") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"{digits[:10]}... is a number of {len(digits)} digits, at most {_DIGITS} are read")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is more than a number can hold")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON knows")


def _too_deep() -> str:
    return f"lists and objects stand more than {limit('nesting')} deep within each other"
