"""Good input made bad: bytes of a file, values of a JSON document, lines of a text."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

ODD_NUMBERS = (0, -1, 1, 2, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**18, 10**400, -(2**63), 0.5, 1e308,
               -1e308, 5e-324, float("inf"), float("-inf"), float("nan"))  # fmt: skip
ODD_VALUES = (None, True, False, "", "a", "0", "1e5", "\ud800", "\0", "..", "/", "a" * 5000, "9" * 5000, [], {}, [[]], [None], {"": None},
              {"size": [4, 4]}, "~nobody", "é" * 200)  # fmt: skip
_WORDS = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0\0\0\0\0", b"9999999999", b"-1", b"(", b"nan",
          b"[" * 400, b"\xed\xa0\x80")  # fmt: skip


def mutated_bytes(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with one to eight faults: bytes changed, put in, taken out, doubled, cut off, spliced with another seed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not data:
            return bytes(data)
        at = rng.randrange(len(data)) if rng.random() < 0.6 else rng.randrange(min(len(data), 64))
        span = rng.choice((1, 2, 4, 8, 64, 512))
        fault = rng.randrange(7)
        if fault == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif fault == 1:
            word = rng.choice(_WORDS)
            data[at : at + len(word)] = word
        elif fault == 2:
            data[at:at] = rng.choice(_WORDS)
        elif fault == 3:
            del data[at : at + span]
        elif fault == 4:
            data[at:at] = data[at : at + span]
        elif fault == 5:
            del data[at:]
        else:
            other = rng.choice(seeds)
            data[at:] = other[min(at, len(other)) :]
    return bytes(data)


def mutated_value(rng: random.Random, value: Any) -> Any:
    """A copy of a JSON value with one to four faults: values of other kinds, odd numbers, keys gone, lists longer or shorter."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = _with_fault(rng, value)
    return value


def odd_value(rng: random.Random) -> Any:
    """A number or another value that hardly any key expects."""
    kind = rng.randrange(4)
    if kind == 0:
        return nested(rng.choice((3, 70, 2000)), rng.random() < 0.5)
    return rng.choice(ODD_NUMBERS) if kind < 3 else rng.choice(ODD_VALUES)


def nested(depth: int, mappings: bool) -> Any:
    """Lists or mappings within each other."""
    value: Any = 0
    for _ in range(depth):
        value = {"a": value} if mappings else [value]
    return value


def as_json(value: Any) -> str:
    """JSON text of a value, however deep and odd: what is too deep, or holds itself, is written by hand, and lone surrogates stay."""
    try:
        return json.dumps(value)
    except (RecursionError, ValueError):
        return "[" * 100_000


def _with_fault(rng: random.Random, value: Any) -> Any:
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.08:
        return odd_value(rng)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    if isinstance(value[key], (dict, list)) and value[key] and rng.random() < 0.75:
        value[key] = _with_fault(rng, value[key])
        return value
    fault = rng.randrange(5)
    if fault == 0:
        del value[key]
    elif fault == 1 and isinstance(value, dict):
        value[rng.choice(("", "size", "counts", "a" * 300, "\ud800"))] = value.pop(key)
    elif fault == 1:
        value.extend([value[key]] * rng.choice((1, 2, 50)))
    elif fault == 2 and isinstance(value[key], (int, float)) and not isinstance(value[key], bool):
        value[key] = value[key] * rng.choice((-1, 2, 10**6, 10**12)) + rng.choice((-1, 0, 1))
    else:
        value[key] = odd_value(rng)
    return value
