"""A config's model_args against the fields of a model's Config dataclass. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from vos_zoo.errors import CheckpointError


def checked_args(config_class: type, args: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """Checks names and types of `args` against the fields of a model's Config dataclass; lists become tuples.

    Values (ranges, combinations) are the Config's own business when it is built.
    Raises CheckpointError that names each unknown argument, or the first of a wrong type.
    """
    known = {each.name: each for each in dataclasses.fields(config_class) if each.init}
    unknown = sorted(set(args) - set(known))
    if unknown:
        raise CheckpointError(f"{source}: unknown model_args {', '.join(map(repr, unknown)):.300}. Known: {', '.join(sorted(known))}.")
    missing = sorted(
        name
        for name, each in known.items()
        if name not in args and each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    )
    if missing:
        raise CheckpointError(f"{source}: model_args lack {', '.join(map(repr, missing))}. Give them a value.")
    hints = typing.get_type_hints(config_class)
    checked = {}
    for name, value in args.items():
        try:
            checked[name] = _cast(value, hints[name])
        except _WrongTypeError:
            raise CheckpointError(f"{source}: model_args.{name} must be {_readable(hints[name])}, not {value!r:.80}.") from None
    return checked


class _WrongTypeError(Exception):
    pass


def _cast(value: Any, hint: object) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        for option in inner:
            try:
                return _cast(value, option)
            except _WrongTypeError:
                continue
        raise _WrongTypeError
    if origin is typing.Literal:
        if any(value == option and type(value) is type(option) for option in inner):
            return value
        raise _WrongTypeError
    if origin is tuple:
        return _cast_tuple(value, inner)
    if hint is float:
        if type(value) not in (int, float):
            raise _WrongTypeError
        try:
            number = float(value)
        except OverflowError:
            raise _WrongTypeError from None
        if math.isfinite(number):
            return number
        raise _WrongTypeError
    if hint in (bool, int, str, type(None)):
        if type(value) is hint:
            return value
        raise _WrongTypeError
    raise TypeError(f"a field of type {hint} can't be read from a config: use bool, int, float, str, None, Literal or a tuple of them")


def _cast_tuple(value: object, inner: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _WrongTypeError
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_cast(each, inner[0]) for each in value)
    if len(value) != len(inner):
        raise _WrongTypeError
    return tuple(_cast(each, hint) for each, hint in zip(value, inner, strict=True))


def _readable(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "null"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_readable, inner))
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, inner))
    if origin is tuple:
        each = inner[:1] if inner[-1] is Ellipsis else inner
        return "a list of " + ", ".join(map(_readable, each))
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    return words.get(hint, str(hint))
