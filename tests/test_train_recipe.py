"""Recipes: what they say, the rate that follows from them, and what is said of wrong ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from training_data import recipe, tiny_crvos

from vos_zoo.errors import DataError
from vos_zoo.train.batches import Batches
from vos_zoo.train.recipe import Recipe, Stage, load_recipe
from vos_zoo.train.trainer import Trainer, learning_rate

GOOD = """
architecture: CRVOS
model_args: {backbone: resnet18}
stills: [a, b]
synthesis: {together: 0.4, speed: [0.1, 0.2]}
stages:
  - {name: one, steps: 3, size: [32, 48], lr: 6e-4}
  - {name: two, steps: 2, size: [64, 96], frames: 5, warm: 3, lr_end: 1.0e-5}
"""


def load(tmp_path: Path, text: str) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(text)
    return load_recipe(tmp_path / "recipe.yaml")


def test_a_recipe_as_it_is_written(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD)
    assert found.steps == 5 and found.stills == ("a", "b") and found.frozen == ()
    assert found.stages[0] == Stage("one", 3, (32, 48), lr=0.0006)
    assert [(found.stage_at(n)[0].name, found.stage_at(n)[1]) for n in range(5)] == [
        ("one", 0),
        ("one", 1),
        ("one", 2),
        ("two", 0),
        ("two", 1),
    ]
    with pytest.raises(IndexError):
        found.stage_at(5)


def test_every_recipe_that_comes_along_can_be_read() -> None:
    found = sorted((Path(__file__).parents[1] / "hub_configs").glob("*/recipe.yaml"))
    assert found
    for path in found:
        assert load_recipe(path).steps > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stills:", "still:", r"recipe\.yaml: unknown keys still; known are architecture, .*stills"),
        ("lr: 6e-4", "rate: 6e-4", r"recipe\.yaml, stage one: unknown keys rate; known are .*lr, lr_end"),
        ("together: 0.4", "apart: 0.4", r"recipe\.yaml, synthesis: unknown keys apart; known are .*together"),
        ("architecture: CRVOS", "seed: 1", r"recipe\.yaml: missing keys architecture"),
        ("steps: 3, ", "", r"stage one: missing keys steps"),
        ("[32, 48]", "[32, 50]", r"recipe\.yaml: stage one: size 32 x 50 must be multiples of 16, for instance 32 x 48"),
        ("[32, 48]", "[32]", r"stage one: size is \[32\], expected tuple\[int, int\]"),
        ("[32, 48]", "32", r"stage one: size is 32, expected tuple\[int, int\]"),
        ("warm: 3", "warm: 4", r"stage two: warm 4 must leave a predicted frame of 4; raise frames or lower warm"),
        ("frames: 5, warm: 3", "frames: 1", r"stage two: frames 1 must be at least 2"),
        ("steps: 3", "steps: 0", r"stage one: steps 0 must be at least 1"),
        ("steps: 3", "steps: 3.5", r"stage one: steps is 3\.5, expected int"),
        ("lr: 6e-4", "lr: fast", r"stage one: lr is 'fast', expected float"),
        ("lr: 6e-4", "real: 25", r"stage one: real 25\.0 is a share, between 0 and 1"),
        ("stills: [a, b]", "stills: a", r"stills is 'a', expected tuple\[str, \.\.\.\]"),
        ("stills: [a, b]", "clips: false", r"nothing to train on: name folders of stills, or set clips: true"),
        ("stills: [a, b]", "slots: 0", r"slots 0 must be at least 1"),
        ("stages:", "stages: []\nframes:", r"unknown keys frames"),
        ("[32, 48]", "[32, 48", r"recipe\.yaml is no YAML file"),
    ],
)
def test_wrong_recipes(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(DataError, match=message):
        load(tmp_path, GOOD.replace(old, new))


def test_recipes_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"recipe .*none\.yaml can't be read: No such file"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="expected `key: value` lines, found NoneType"):
        load(tmp_path, "")
    with pytest.raises(DataError, match="stages is a list of mappings"):
        load(tmp_path, "{architecture: CRVOS, model_args: {}, stills: [a], stages: [one]}")
    with pytest.raises(DataError, match="at least one stage"):
        load(tmp_path, "{architecture: CRVOS, model_args: {}, stills: [a], stages: []}")


def test_rate_warms_up_then_is_the_stages_own() -> None:
    stages = [Stage("flat", 10, (32, 32), lr=1e-3), Stage("cosine", 8, (32, 32), lr=4e-4, lr_end=1e-5)]
    run = recipe(stages=stages, warmup=4)
    assert [learning_rate(run, n) for n in range(6)] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3])
    for n in range(8):
        expected = 1e-5 + (4e-4 - 1e-5) * (1 + math.cos(math.pi * n / 8)) / 2
        assert learning_rate(run, 10 + n) == pytest.approx(expected, rel=1e-5)


def test_data_that_the_recipe_wants_and_is_not_there() -> None:
    with pytest.raises(DataError, match="nothing to train on: the recipe's data holds neither stills nor clips"):
        Batches(recipe(), None, [])


def test_frozen_prefixes_must_fit_and_do_freeze() -> None:
    trainer = Trainer(tiny_crvos(), recipe())
    still = {".".join(n.split(".")[:3]) for n, p in trainer.model.named_parameters() if not p.requires_grad}
    assert still == {"trunk.net.conv1", "trunk.net.layer1"}
    with pytest.raises(DataError, match=r"frozen: no parameter's name begins with trunk\.layer1; names begin with .*trunk\.net\.layer1"):
        Trainer(tiny_crvos(), recipe(frozen=("trunk.layer1",)))
