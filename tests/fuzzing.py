"""What property tests share: values that no file should hold, mutations of good ones, and the promise that is tested."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from vos_zoo.errors import VosZooError

EXAMPLES = int(os.environ.get("VOS_ZOO_FUZZ", "100"))  # a test; more for a long run
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example],
)
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**63 - 1, -(2**64), 10**400, 1.5, -0.0, 1e308),
    *("", " ", "x", ":", "a/b", "../x", "~nobody", "0", "\0", "\ud800", "é", "x" * 5000, "2026-13-45"),
    *([], {}, [[]], [{}], {"": None}, [None], ["x", 1], {"a": {"b": [1]}}, [10**18] * 300),
]
odd = st.sampled_from(ODD).map(copy.deepcopy) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def promise(call: Callable[[], Any]) -> Any:
    """The result; or None where what is wrong is told in a sentence. Any other exception fails the test."""
    try:
        return call()
    except VosZooError as error:
        assert 10 < len(str(error)) < 6000, str(error)[:200]
        return None


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """A JSON value with one to three places changed: replaced, removed, or given a key more."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        place, within = [], value
        while isinstance(within, (dict, list)) and within and (not place or draw(st.booleans())):
            key = draw(st.sampled_from(sorted(within) if isinstance(within, dict) else range(len(within))))
            place.append((within, key))
            within = within[key]
        if not place:
            return draw(odd)
        parent, key = place[-1]
        how = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if how == "remove":
            del parent[key]
        elif how == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=8))] = draw(odd)
        else:
            parent[key] = draw(odd)
    return value


def as_json(value: Any) -> bytes:
    """A document, with what JSON can't hold as its writers write it."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Bytes cut, overwritten, doubled or with some put in between."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        how = draw(st.sampled_from(["cut", "flip", "insert", "double"]))
        if how == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif how == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        else:
            data[at:at] = data[at : at + 200]
    return bytes(data)
