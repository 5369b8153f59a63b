"""`fresh` in a recipe: a run takes from a checkpoint what fits it, and the rest begins anew."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from training_data import MODEL_ARGS, tiny_crvos, write_clip, write_stills

from vos_zoo import cli
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.models.scm import SCM
from vos_zoo.segmenter import Segmenter

CHANGED = {"backbone": "resnet10t", "reduced": [6, *MODEL_ARGS["reduced"][1:]]}


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    write_stills(tmp_path / "data/stills")
    write_clip(tmp_path / "data/clip")
    (tmp_path / "data/clips.json").write_text(json.dumps({"clip": {"split": "train"}}))
    stage = {"name": "one", "steps": 1, "size": [32, 48], "batch": 1}
    common = {"architecture": "CRVOS", "stills": ["stills"], "clips_index": "clips.json", "stages": [stage]}
    out = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--device", "cpu", "--workers", "0", "--no-tensorboard"]

    def main(*more: str, **changes: object) -> tuple[int, str]:
        """Exit code, and what was said."""
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**common, **changes}))
        code = cli.main(["train", str(tmp_path / "recipe.yaml"), *out, *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return main


def saved(folder: Path, **changes: object) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint that is written there."""
    torch.manual_seed(len(changes))
    config = ModelConfig(folder.name, "CRVOS", {**MODEL_ARGS, **changes}, Preprocess(48))
    segmenter = Segmenter(tiny_crvos(**changes), config, device="cpu", dtype="float32")
    segmenter.save_pretrained(folder, dtype="float32")
    return segmenter.model.state_dict()


def test_a_run_may_take_from_a_checkpoint_what_fits_it(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """Another trunk than it had there, and the first module on it; the rest goes on."""
    start, other = saved(tmp_path / "start"), saved(tmp_path / "other", **CHANGED)
    fresh = ["trunk", "refine16"]
    changes = {
        "model_args": {**MODEL_ARGS, **CHANGED, "matched": 4}, "start": str(tmp_path / "start"), "fresh": fresh,
        "trunk_of": str(tmp_path / "other"), "keys_from": 3, "frozen": ["trunk", "keys", "refine8", "refine4.blend"],
    }  # fmt: skip
    code, said = run(**changes)
    assert code == 0, said
    found = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["model"]
    assert all(torch.equal(found[name], value) for name, value in other.items() if name.startswith("trunk"))
    assert all(torch.equal(found[name], value) for name, value in start.items() if name.startswith(("refine8", "refine4.blend")))
    assert found["refine16.reduce.weight"].shape[0] == 6
    keys = found["keys.project.weight"][:, :, 0, 0]
    torch.testing.assert_close(keys @ keys.T, torch.eye(4), atol=1e-5, rtol=0)

    shutil.rmtree(tmp_path / "out")
    for bad, message in (
        (
            {"fresh": ["trunk"]},
            r"does not fit the recipe's model: refine16\.reduce\.weight is \(.*\) there and \(6, .*\) here; add it to fresh",
        ),
        (
            {"fresh": ["refine16"]},
            "take `backbone` and `trunk_of` out of the recipe, or `start`; `trunk_of` may stay with `fresh: .trunk.`",
        ),
        ({"fresh": ["refine16"], "trunk_of": None}, r"does not fit the recipe's model: trunk\.\S+ is .*; add it to fresh"),
        ({"keys_from": 0}, r"keys\.project\.weight is not there; add it to fresh"),
        ({"fresh": [*fresh, "head"]}, "fresh: no parameter's name begins with head; names begin with"),
        ({"start": None}, "fresh: trunk, .* there is no `start` of which these take nothing"),
        ({"backbone": "b.safetensors"}, "take `backbone` and `trunk_of` out of the recipe"),
        ({"architecture": "RVOS", "model_args": {"backbone": "resnet10t"}}, "is another model than the recipe's"),
    ):
        code, said = run(**{**changes, **bad})
        assert code == 2 and re.search(message, said), said


def test_a_trunk_that_is_not_fresh_stays_beside_one_that_is_taken(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """An SCM whose query trunk comes from a CRVOS, its memory trunk from the SCM before."""
    small = {"backbone": "resnet18", "batch_norm": "folded", "key": 4, "value": 6, "decoder": 8, "refine_width": 4, "max_memory": 2}
    small |= {"shared_keys": True, "similarity": "cosine"}
    torch.manual_seed(3)
    before = Segmenter(SCM(SCM.Config(**small)), ModelConfig("start", "SCM", small, Preprocess(48)), device="cpu", dtype="float32")
    before.save_pretrained(tmp_path / "start", dtype="float32")
    other = saved(tmp_path / "other")
    changes = {
        "architecture": "SCM", "model_args": {**small, "matched": 4, "memory_backbone": "resnet18"}, "start": str(tmp_path / "start"),
        "fresh": ["query_trunk", "query_value", "mix.told"], "trunk_of": str(tmp_path / "other"), "keys_from": 3,
        "frozen": ["query_trunk", "keys", "memory_trunk"],
    }  # fmt: skip
    code, said = run(**changes)
    assert code == 0, said
    found, start = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["model"], before.model.state_dict()
    assert all(torch.equal(found[f"query_{name}"], value) for name, value in other.items() if name.startswith("trunk"))
    assert all(torch.equal(found[name], value) for name, value in start.items() if name.startswith("memory_trunk"))


def test_what_is_fresh_is_the_same_each_time_and_from_leaves_nothing_fresh(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    saved(tmp_path / "start")
    other = saved(tmp_path / "other", **CHANGED)
    common = {"model_args": {**MODEL_ARGS, **CHANGED}, "frozen": ["trunk", "refine16"]}
    changes = {**common, "start": str(tmp_path / "start"), "fresh": ["trunk.", "refine16"]}
    found = []
    for more in ([], [], ["--from", str(tmp_path / "other")]):
        code, said = run(*more, **changes)
        assert code == 0, said
        found.append(torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["model"])
        shutil.rmtree(tmp_path / "out")
    still = [name for name in other if name.startswith(("trunk", "refine16"))]
    assert all(torch.equal(found[0][name], found[1][name]) for name in still)
    assert all(torch.equal(found[2][name], other[name]) for name in still)
