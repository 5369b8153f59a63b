"""Recipes by strangers: whatever stands in them, a recipe comes out or a DataError, soon and without much memory."""

from __future__ import annotations

import datetime
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vos_zoo.checkpoints import catalogue
from vos_zoo.errors import DataError
from vos_zoo.system.shown import shown
from vos_zoo.train.plain_yaml import read_yaml
from vos_zoo.train.recipe_entries import recipe_from
from vos_zoo.train.recipe_file import load_recipe

RECIPES = sorted(catalogue.folder().glob("*/recipe.yaml"))
STRANGE: list[Any] = [
    *(None, True, "", "x" * 5000, "nan", "1e999", "²", b"\0\xff", datetime.date(2001, 12, 31)),
    *([], [[]], [None], ["a", "b"], {}, {"a": {}}, {1: 2}, {(1, 2): 3}, {"x"}),
    *(-1, 0, 10**30, 10**5000, float("nan"), float("inf"), 1e-320),
    *({"kind": ["nll"]}, {"kind": {}}, {"kind": "nll", 3: 4}),
]
TRIES = 150  # a recipe
BYTES = [b"&a ", b"*a", b"!!int ", b"[{", b"\n  ", b"? ", b"!!set ", b"\xff", b"\0", b"9"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be put in place of what is there."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*path, key)
        yield from places(each, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {key: replaced(each, path[1:], new) if key == path[0] else each for key, each in value.items()}
    return [replaced(each, path[1:], new) if n == path[0] else each for n, each in enumerate(value)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parent.name)
def test_strange_values_in_every_place(recipe: Path) -> None:
    raw = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    refused, rng, where = 0, random.Random(recipe.parent.name), list(places(raw))
    for _ in range(TRIES):
        path, value = rng.choice(where), rng.choice(STRANGE)
        try:
            recipe_from(replaced(raw, path, value), "the recipe")
        except DataError as error:
            refused += 1
            assert len(str(error)) < 1200, (path, shown(value))
    assert refused > TRIES / 2


def test_bytes_that_were_changed(tmp_path: Path) -> None:
    text, rng, path = RECIPES[0].read_bytes(), random.Random(7), tmp_path / "recipe.yaml"
    for _ in range(100):
        data = bytearray(text)
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 6)] = rng.choice(
                [bytes([rng.randrange(256)]), b"&a ", b"*a", b"!!int ", b"[{", b"\n  ", b"? ", b"!!set "]
            )
        path.write_bytes(bytes(data))
        try:
            load_recipe(path)
        except DataError as error:
            assert len(str(error)) < 1200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 2001-99-99", "holds a value that can't be read .*month must be in"),
        ("seed: !!bool maybe", "holds a value that can't be read"),
        ('seed: !!int ""', "holds a value that can't be read"),
        ("seed: " + "9" * 5000, "numbers of at most 4000 digits"),
        ("[" * 3000, "nested more than 64 levels deep"),
        ("a:\n" + "".join(" " * n + "a:\n" for n in range(1, 200)), "nested more than 64 levels deep"),
        ("a: &a [*a, *a]", "holds itself by an alias"),
        ("a: !!python/object/apply:os.system [ls]", "is no YAML"),
        ("x" * 2_000_000, "has 2000000 letters"),
        ("? [a, b]\n: 1", "is no YAML"),
        ("a: !!timestamp now", "holds a value that can't be read"),
    ],
)
def test_yaml_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read_yaml(text, "the recipe r.yaml")
    assert str(refused.value).startswith("the recipe r.yaml") and len(str(refused.value)) < 1000


@pytest.mark.parametrize("levels", [5, 7, 9, 40])
def test_aliases_that_grow_are_not_unfolded(levels: int) -> None:
    grown = ["a0: &a0 [x,x,x,x,x,x,x,x,x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels))]
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(DataError, match="grows to more than 10000 values by its aliases"):
        read_yaml("\n".join(grown), "the recipe")
    assert tracemalloc.get_traced_memory()[1] < 5e6 and time.process_time() - begun < 5
    tracemalloc.stop()


def test_few_aliases_are_what_they_are() -> None:
    assert read_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2}", "it") == {"a": [1, 2], "b": [1, 2], "c": {"d": 1, "e": 2}}
    assert read_yaml("", "it") is None and read_yaml("day: 2001-12-31", "it") == {"day": datetime.date(2001, 12, 31)}


@pytest.mark.parametrize(
    "change", ["seed=2001-99-99", "stages.²=1", f"stages.{'9' * 5000}=1", f"{'a.' * 2000}a=1", f"seed={'9' * 5000}", "seed=[*a]"]
)
def test_changes_that_are_none(change: str) -> None:
    with pytest.raises(DataError) as refused:
        load_recipe(RECIPES[0], [change])
    assert len(str(refused.value)) < 1000
