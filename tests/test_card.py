"""Model cards: generated, complete, and holding only what the config says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vos_zoo import catalogue
from vos_zoo.card import model_card
from vos_zoo.config import ModelConfig

ROOT = Path(__file__).resolve().parents[1]
CONFIG = {
    "library": "vos_zoo",
    "format_version": 1,
    "name": "thing",
    "architecture": "CRVOS",
    "model_args": {"backbone": "resnet18"},
    "paper": {"title": "A title", "url": "https://example.org/paper"},
    "metrics": [
        {"dataset": "DAVIS-2016 (6 sequences)", "split": "val", "command": "vos-zoo evaluate this", "J&F": 71.3, "J": 70.1, "F": 72.5}
    ],
}


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_metadata_holds_measured_numbers_only():
    meta = front_matter(model_card(ModelConfig.from_dict(CONFIG)))
    assert meta["library_name"] == "vos_zoo" and meta["pipeline_tag"] == "mask-generation"
    (result,) = meta["model-index"][0]["results"]
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"J&F": 71.3, "J": 70.1, "F": 72.5}
    assert "model-index" not in front_matter(model_card(ModelConfig.from_dict({**CONFIG, "metrics": []})))


def test_every_number_stands_beside_its_command():
    card = model_card(ModelConfig.from_dict(CONFIG))
    assert "| DAVIS-2016 (6 sequences) | val | 71.3 | 70.1 | 72.5 |" in card and "    vos-zoo evaluate this" in card
    assert "Nothing has been measured yet." in model_card(ModelConfig.from_dict({**CONFIG, "metrics": []}))


def test_scores_are_recorded_once(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "scores.json").write_text(json.dumps({"mean_jf": 0.8, "mean_j": 0.79, "mean_f": 0.81}))
    command = [sys.executable, ROOT / "tools/make_card.py", tmp_path, "--scores", tmp_path / "scores.json", "--dataset"]
    for dataset in ("DAVIS-2016 (6 sequences)", "other", "other"):
        subprocess.run([*command, dataset, "--split", "val", "--command", "again"], check=True, capture_output=True)
    config = ModelConfig.read(tmp_path / "config.json")
    assert [(row["dataset"], row["J&F"]) for row in config.metrics] == [("DAVIS-2016 (6 sequences)", 80.0), ("other", 80.0)]
    assert (tmp_path / "README.md").read_text() == model_card(config)


@pytest.mark.parametrize("name", catalogue.names())
def test_cards_that_ship_are_up_to_date(name):
    card = catalogue.folder() / name / "README.md"
    assert card.read_text() == model_card(catalogue.read(name)), f"run: python tools/make_card.py {card.parent}"
