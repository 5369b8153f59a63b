"""A recipe read from its file: hub_configs/<name>/recipe.yaml, or the recipe.json of a run. No torch is needed to refuse one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import DataError
from vos_zoo.system.shown import shown
from vos_zoo.train.plain_yaml import read_yaml

if TYPE_CHECKING:
    from vos_zoo.train.recipe import Recipe

DEEPEST = 10  # dots in a change


def load_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: a YAML file, or the recipe.json of a run.
        changes: "key=value" each, value in YAML, put over the file's entries; "stages.0.lr=1e-4" reaches into stage 0,
            "stages.*.steps=5" into all.

    Raises:
        DataError: an entry is unknown, missing or wrong; it says which, what was found, and what is wanted.

    Example:
        >>> load_recipe("hub_configs/crvos/recipe.yaml", ["seed=3"]).seed  # doctest: +SKIP
        3
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the recipe {path} can't be read: {error.strerror}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML file: {error}") from error
    raw = read_yaml(text, f"the recipe {path}")
    return _checked(raw, changes, str(path))


def with_changes(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with "key=value" changes as `load_recipe` takes them."""
    return _checked(json.loads(json.dumps(recipe.as_dict())), changes, "the recipe")


def _checked(raw: object, changes: Sequence[str], source: str) -> Recipe:
    for change in changes:
        _change(raw, change)
    from vos_zoo.train.recipe_entries import recipe_from

    return recipe_from(raw, source)


def _change(raw: object, change: str) -> None:
    """Put "path.to.entry=value" into the raw recipe."""
    path, equals, text = change.partition("=")
    if not equals or not path:
        raise DataError(f"{shown(change)} is no change of a recipe; write KEY=VALUE, for instance stages.0.lr=1e-4")
    if path.count(".") > DEEPEST:
        raise DataError(f"{shown(change)}: a recipe is not so deep; stages.0.synthesis.KEY is as far as it goes")
    _put(raw, path.split("."), read_yaml(text, f"the value of {shown(change)}"), change)


def _put(place: object, keys: list[str], value: object, change: str) -> None:
    key, rest = keys[0], keys[1:]
    if isinstance(place, list):
        if key != "*" and not (key.isascii() and key.isdigit() and len(key) < 7 and int(key) < len(place)):
            raise DataError(f"{shown(change)}: {shown(key)} is none of the {len(place)} there; count from 0, or write * for all")
        for n in range(len(place)) if key == "*" else [int(key)]:
            if rest:
                _put(place[n], rest, value, change)
            else:
                place[n] = value
    elif not isinstance(place, dict):
        raise DataError(f"{shown(change)}: there is nothing below {shown(place)} to set {shown(key)} in")
    elif rest:
        _put(place.setdefault(key, {}), rest, value, change)
    else:
        place[key] = value
