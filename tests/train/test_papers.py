"""Every recipe that comes along, stage by stage, on tiny data laid out exactly as DAVIS, YouTube-VOS and our own sets are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from training_data import write_clip, write_davis, write_stills, write_youtubevos

from vos_zoo.checkpoints.arguments import checked_args
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.commands.train import build, main
from vos_zoo.models.discovery import POINTING, architecture_class
from vos_zoo.train.provenance import read_recipe
from vos_zoo.train.recipe_file import load_recipe

CONFIGS = Path(__file__).parents[2] / "hub_configs"
RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("*/recipe*.yaml"))
STILLS = ("duts_tr", "ecssd", "ccp", "coco128", "feral_cats", "human290", "weizmann_horse")
SMALL = {
    "CRVOS": ["model_args.reduced=[4, 4, 4]", "model_args.blended=[4, 4, 4]"],
    "RVOS": ["model_args.hidden=8"],
    "ACCLVOS": ["model_args.hidden=8"],
    "LightSCM": ["model_args.tokens=16", "model_args.blocks=1", "model_args.key=4", "dinov2=null"],
    "PointingNetwork": ["model_args.widths=[8, 8, 8]", "model_args.relations=1"],
    "SCM": ["model_args.key=4", "model_args.value=4", "model_args.decoder=4", "model_args.refine_width=4"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_davis(root / "DAVIS", {"bear": "train", "swing": "train", "goat": "val"}, objects=2, frames=18)
    write_youtubevos(root / "youtube-vos/train", ["003234408d", "0043f083b5"])
    for name in STILLS:
        write_stills(root / name, 1)
    write_stills(root / "backgrounds", 1)
    for mask in (root / "backgrounds/masks").iterdir():
        mask.unlink()
    (root / "backgrounds/masks").rmdir()
    write_clip(root / "clip", frames=8, ids={1: [(20, 10 + 4 * t) for t in range(8)], 2: [(30, 60 - 4 * t) for t in range(8)]})
    (root / "clips.json").write_text(json.dumps({"clip": {"split": "train"}}))
    return root


@pytest.mark.parametrize("name", RECIPES)
def test_every_stage_runs_from_its_recipe(name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = load_recipe(CONFIGS / name)
    out = tmp_path / "run"
    changes = [*SMALL[wanted.architecture], "warmup=0"]
    if wanted.architecture not in POINTING:
        changes += ["model_args.backbone=resnet10t", "model_args.stride_on=3x3", "backbone=null", "trunk_of=null", "start=null", "fresh=[]"]
    if wanted.keys_from:
        changes.append("keys_from=3")
    changes += ["stages.*.steps=1", "stages.*.batch=2", "stages.*.size=[32, 48]"]
    options = ["--data", str(data), "--out", str(out), "--device", "cpu", "--workers", "0", "--log-every", "1", "--no-tensorboard"]
    assert main([str(CONFIGS / name), *options, *(f"--set={change}" for change in changes)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "done"
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in rows] == [stage.name for stage in wanted.stages]
    assert all(row["loss"] > 0 for row in rows)
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == len(wanted.stages)
    assert read_recipe(out).stages[-1].frames == wanted.stages[-1].frames


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith("/recipe.yaml")])
def test_a_recipe_makes_the_model_that_lies_beside_it(name: str) -> None:
    recipe, config = load_recipe(CONFIGS / name), ModelConfig.read((CONFIGS / name).parent / "config.json")
    assert recipe.architecture == config.architecture
    kind = architecture_class(recipe.architecture).Config
    assert kind(**checked_args(kind, recipe.shipped_args, source=name)) == kind(**checked_args(kind, config.model_args, source=name))


@pytest.mark.parametrize("name", RECIPES)
def test_parameter_names_in_a_recipe_are_the_models(name: str) -> None:
    """`frozen` and `scaled` are checked when a run begins; here, that no recipe would fail then."""
    recipe = load_recipe(CONFIGS / name)
    with torch.device("meta"):
        model = build(recipe, None)
    names = [parameter for parameter, _ in model.named_parameters()]
    for prefix in (*recipe.frozen, *recipe.scaled):
        assert any(each.startswith(prefix) for each in names), prefix


def test_no_recipe_trains_on_validation_clips() -> None:
    for name in RECIPES:
        recipe = load_recipe(CONFIGS / name)
        assert not recipe.clips or recipe.clips_index == "clips.json", "plain folders only by their list of splits"
        assert all(source.layout.startswith(("davis", "youtubevos")) for source in recipe.sources.values()), "these have lists of their own"
        assert not any("val" in still for still in recipe.stills)


def numbers(name: str) -> list[tuple[int, int, tuple[int, int], float]]:
    """(frames, batch, size, rate) of each stage."""
    return [(stage.frames, stage.batch, stage.size, stage.lr) for stage in load_recipe(CONFIGS / name).stages]


def test_the_papers_numbers() -> None:
    """CRVOS 2.4 and 2.5; RVOS's code; SCM 2.3, 3.1 and STM."""
    assert numbers("crvos-resnet50/recipe.yaml") == [(8, 4, (240, 432), 1e-4), (16, 2, (480, 864), 1e-4)]
    youtube, davis = load_recipe(CONFIGS / "crvos-resnet50/recipe.yaml").stages
    assert youtube.rate(0) == youtube.rate(youtube.steps - 1) == 1e-4
    an_epoch = davis.steps // 200
    assert davis.rate(an_epoch) / davis.rate(0) == pytest.approx(0.995, rel=1e-4)
    assert davis.windows == {"rotate": 30, "shear": 30, "scale": (0.75, 1.25)}

    rvos = load_recipe(CONFIGS / "rvos-resnet101/recipe.yaml")
    assert numbers("rvos-resnet101/recipe.yaml") == [(5, 4, (256, 448), 1e-3)] * 3
    assert [stage.own for stage in rvos.stages] == [0.0, 1.0, 1.0]
    assert rvos.trunk_lr * rvos.stages[0].lr == pytest.approx(1e-6) and rvos.weight_decay == 1e-6 and rvos.slots == 10
    zero_shot = load_recipe(CONFIGS / "rvos-resnet101/recipe-zeroshot.yaml")
    assert zero_shot.model_args["zero_shot"] and zero_shot.stages[0].steps == pytest.approx(2.5 * rvos.stages[0].steps)

    scm = load_recipe(CONFIGS / "scm-resnet50/recipe.yaml")
    assert numbers("scm-resnet50/recipe.yaml") == [(3, 4, (384, 384), 1e-5), (3, 4, (384, 640), 1e-5), (3, 4, (384, 640), 1e-5)]
    stills, main_stage, last = scm.stages
    assert (stills.own, main_stage.own, last.own) == (0.0, 0.0, 1.0)
    assert main_stage.skip_limit(0) == 1 and main_stage.skip_limit(main_stage.steps - 1) == 25
    assert last.skip_limit(last.steps - 1) == 1
    assert main_stage.windows["short_edge"] == (384, 1080)
