"""Recipes: what they say, the rate that follows from them, and what is said of wrong ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from training_data import recipe, tiny_crvos

from vos_zoo.errors import DataError
from vos_zoo.train.batches import Batches
from vos_zoo.train.losses import BceDice, SoftIou
from vos_zoo.train.recipe import Recipe, Source, Stage
from vos_zoo.train.recipe_file import load_recipe, with_changes
from vos_zoo.train.trainer import Trainer

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
    found = sorted((Path(__file__).parents[2] / "hub_configs").glob("*/recipe*.yaml"))
    assert len(found) > 8
    for path in found:
        recipe = load_recipe(path)
        again = tuple(f"{key}={value}" for key, value in {"seed": recipe.seed}.items())
        assert load_recipe(path, again) == with_changes(recipe, ()) == recipe, "and written down as JSON it means the same"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stills:", "still:", r"recipe\.yaml: unknown keys still; known are architecture, .*stills"),
        ("lr: 6e-4", "rate: 6e-4", r"recipe\.yaml, stage one: unknown keys rate; known are .*lr, lr_course, lr_end"),
        ("together: 0.4", "apart: 0.4", r"recipe\.yaml, synthesis: unknown keys apart; known are .*together"),
        ("architecture: CRVOS", "seed: 1", r"recipe\.yaml: missing keys architecture"),
        ("steps: 3, ", "", r"stage one: missing keys steps"),
        ("[32, 48]", "[32, 50]", r"recipe\.yaml: stage one: size 32 x 50 must be multiples of 16, for instance 32 x 48"),
        ("[32, 48]", "[32]", r"stage one: size is \[32\], expected tuple\[int, int\]"),
        ("[32, 48]", "32", r"stage one: size is 32, expected tuple\[int, int\]"),
        ("warm: 3", "warm: 4", r"stage two: warm 4 must leave a predicted frame of 4; raise frames or lower warm"),
        ("warm: 3", "feedback_threshold: 1.5", r"stage two: feedback_threshold lies between 0 and 1, or is None for soft masks, not 1\.5"),
        ("warm: 3", "rehearsal: -1", r"stage two: rehearsal -1 must be 0, none, or the largest number of frames"),
        ("warm: 3", "rehearsal: 9, own: 0.5", r"stage two: a rehearsal is played with the model's own masks; leave out `own`"),
        ("frames: 5, warm: 3", "frames: 1", r"stage two: frames 1 must be at least 2"),
        ("steps: 3", "steps: 0", r"stage one: steps 0 must be at least 1"),
        ("steps: 3", "steps: 3.5", r"stage one: steps is 3\.5, expected int"),
        ("lr: 6e-4", "lr: fast", r"stage one: lr is 'fast', expected float"),
        ("lr: 6e-4", "real: 25", r"stage one: real 25\.0 is a share, between 0 and 1"),
        ("lr: 6e-4", "own: [0.5, 2]", r"stage one: own \(0\.5, 2\.0\) is a share, between 0 and 1"),
        ("lr: 6e-4", "own: []", r"stage one: own \(\) is a share, between 0 and 1"),
        ("lr: 6e-4", "own: half", r"stage one: own is 'half', expected float \| tuple\[float, \.\.\.\]"),
        ("lr: 6e-4", "max_skip: [3, 0]", r"stage one: max_skip \(3, 0\) must be at least 1"),
        ("lr: 6e-4", "max_skip: 2.5", r"stage one: max_skip is 2\.5, expected int \| tuple\[int, \.\.\.\]"),
        ("lr: 6e-4", "gaps: wide", r"stage one: gaps is 'wide', not one of even, random"),
        ("lr: 6e-4", "lr_course: poly", r"stage one: lr_course is 'poly', not one of cosine, exponential, linear"),
        ("lr: 6e-4", "lr_end: 0, lr_course: exponential", r"stage one: lr_end 0\.0 must be above 0 for an exponential course"),
        ("lr: 6e-4", "accumulate: 0", r"stage one: accumulate 0 must be at least 1"),
        ("lr: 6e-4", "loss: {kind: focal}", r"loss of stage one: kind is 'focal', not one of bce_dice, nll, soft_iou, scm"),
        ("lr: 6e-4", "loss: {kind: nll, dice: 1}", r"loss of stage one: unknown keys dice; known are none"),
        ("lr: 6e-4", "windows: {view: crop}", r"windows: view is 'crop', not one of object, frame, objects"),
        ("lr: 6e-4", "windows: {scale: [2, 1]}", r"windows: scale 2\.0, 1\.0 must be two numbers above 0, the smaller first"),
        ("lr: 6e-4", "windows: {flip: 2}", r"windows: flip 2\.0 is a share"),
        ("lr: 6e-4", "windows: {turn: 3}", r"windows of stage one: unknown keys turn; known are .*rotate"),
        ("lr: 6e-4", "sources: {coco: 1}", r"stage one: unknown sources coco; the recipe has clips"),
        ("name: two", "name: one", r"the recipe's stages are named one, one; give each its own name"),
        ("stills: [a, b]", "optimizer: sgd", r"the recipe: optimizer is 'sgd', not one of adamw, adam"),
        ("stills: [a, b]", "sources: {d: {layout: davis2017}}", r"source d: missing keys root"),
        ("stills: [a, b]", "sources: {d: {layout: davis2017, root: D, weight: 0}}", r"source d: weight 0\.0 must be above 0"),
        ("stills: [a, b]", "scaled: [head]", r"scaled is \['head'\], expected dict\[str, float\]"),
        ("stills: [a, b]", "stills: a", r"stills is 'a', expected tuple\[str, \.\.\.\]"),
        ("stills: [a, b]", "clips: false", r"nothing to train on: name folders of stills or sources, or set clips: true"),
        ("stills: [a, b]", "slots: 0", r"slots 0 must be at least 1"),
        ("stages:", "stages: []\nframes:", r"unknown keys frames"),
        ("[32, 48]", "[32, 48", r"recipe\.yaml is no YAML"),
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
    assert [run.rate(n) for n in range(6)] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3])
    for n in range(8):
        expected = 1e-5 + (4e-4 - 1e-5) * (1 + math.cos(math.pi * n / 8)) / 2
        assert run.rate(10 + n) == pytest.approx(expected, rel=1e-5)


def test_courses_run_through_their_values_evenly() -> None:
    stage = Stage("s", 100, (32, 32), own=(0.0, 1.0, 1.0), max_skip=(1, 25, 1))
    assert [stage.own_share(n) for n in (0, 25, 50, 75, 99)] == pytest.approx([0, 0.5, 1, 1, 1])
    assert [stage.skip_limit(n) for n in (0, 25, 50, 75, 99)] == [1, 13, 25, 13, 1]
    assert Stage("s", 100, (32, 32), own=0.3, max_skip=7).own_share(50) == 0.3
    assert Stage("s", 100, (32, 32), max_skip=7).skip_limit(99) == 7


def test_other_courses_of_the_rate() -> None:
    linear = Stage("s", 10, (32, 32), lr=1.0, lr_end=0.0, lr_course="linear")
    assert [linear.rate(n) for n in (0, 5, 9)] == pytest.approx([1, 0.5, 0.1])
    exponential = Stage("s", 10, (32, 32), lr=1.0, lr_end=0.01, lr_course="exponential")
    assert [exponential.rate(n) for n in (0, 5)] == pytest.approx([1, 0.1])


def test_loss_of_a_stage_lies_over_the_recipes() -> None:
    run = recipe(loss={"kind": "soft_iou", "absent": 2.0})
    run.stages[1].loss = {"present": 0.5}
    assert [run.loss_of(stage) for stage in run.stages] == [SoftIou(0.0, 2.0), SoftIou(0.5, 2.0)]
    assert recipe().loss_of(recipe().stages[0]) == BceDice(0.5, 0.25)


def test_changes_reach_into_lists_and_mappings(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    found = load_recipe(path, ["stages.1.lr=1e-5", "stages.*.batch=3", "loss.kind=nll", "model_args.backbone=resnet34", "stills=[c]"])
    assert [stage.batch for stage in found.stages] == [3, 3] and found.stages[1].lr == 1e-5 and found.stages[0].lr == 6e-4
    assert found.loss == {"kind": "nll"} and found.model_args == {"backbone": "resnet34"} and found.stills == ("c",)
    for change, message in {
        "stages.0.lr": r"'stages\.0\.lr' is no change of a recipe; write KEY=VALUE, for instance stages\.0\.lr=1e-4",
        "stages.2.lr=1": r"'2' is none of the 2 there; count from 0, or write \* for all",
        "seed.x=1": r"seed is \{'x': 1\}, expected int",
        "seed=[1": r"the value of .seed=.1. is no YAML",
        "stages.*.rate=1": r"stage one: unknown keys rate",
    }.items():
        with pytest.raises(DataError, match=message):
            load_recipe(path, [change])


def test_a_source_may_be_all_there_is_to_train_on() -> None:
    run = recipe(stills=(), clips=False, sources={"davis": Source("davis2017", "DAVIS", weight=2.0)})
    assert run.weights_of(run.stages[0]) == {"davis": 2.0}
    run.stages[0].sources = {"davis": 0.1}
    assert run.weights_of(run.stages[0]) == {"davis": 0.1}
    assert recipe().weights_of(recipe().stages[0]) == {"clips": 1.0}


def test_data_that_the_recipe_wants_and_is_not_there() -> None:
    with pytest.raises(DataError, match="nothing to train on: the recipe's data holds neither stills nor clips"):
        Batches(recipe(), None, [])


def test_frozen_prefixes_must_fit_and_do_freeze() -> None:
    trainer = Trainer(tiny_crvos(), recipe())
    still = {".".join(n.split(".")[:3]) for n, p in trainer.model.named_parameters() if not p.requires_grad}
    assert still == {"trunk.net.conv1", "trunk.net.layer1"}
    with pytest.raises(DataError, match=r"frozen: no parameter's name begins with trunk\.layer1; names begin with .*trunk\.net\.layer1"):
        Trainer(tiny_crvos(), recipe(frozen=("trunk.layer1",)))


@pytest.mark.parametrize(("has", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_arithmetic_is_bfloat16_only_where_the_processor_has_it(has: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.system.devices._cpu_computes_in_bfloat16", lambda: has)
    assert Trainer(tiny_crvos(), recipe()).precision == precision
    assert Trainer(tiny_crvos(), recipe(), low_precision=not has).precision != precision
