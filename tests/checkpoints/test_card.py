"""Model cards: generated, complete, valid for the Hub, and holding only what the config says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.card import SECTIONS, folder_card, limits, model_card, split_card
from vos_zoo.checkpoints.config import ModelConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "library": "vos_zoo",
    "format_version": 1,
    "name": "thing",
    "architecture": "CRVOS",
    "model_args": {"backbone": "resnet18"},
    "paper": {"title": "CRVOS: A title", "authors": "Cho, Lee", "venue": "ICIP 2020", "url": "https://example.org/paper"},
    "published": [{"where": "DAVIS-2016 val", "what": "81.6 (Table 1)"}],
    "weights": {"file": "model.safetensors", "sha256": "0" * 64, "bytes": 100, "dtype": "float16"},
    "licence": "Research only",
    "metrics": [
        {"dataset": "DAVIS-2016 (6 sequences)", "split": "val", "command": "vos-zoo evaluate this", "J&F": 71.3, "J": 70.1, "F": 72.5}
    ],
}


def card(**changes: object) -> str:
    return model_card(ModelConfig.from_dict({**CONFIG, **changes}))


def front_matter(text: str) -> dict:
    return yaml.safe_load(split_card(text)[0])


def test_metadata_holds_measured_numbers_only():
    meta = front_matter(card())
    assert meta["library_name"] == "vos_zoo" and meta["pipeline_tag"] == "mask-generation"
    (result,) = meta["model-index"][0]["results"]
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"J&F": 71.3, "J": 70.1, "F": 72.5}
    assert all(m["args"] == {"command": "vos-zoo evaluate this"} for m in result["metrics"])
    assert "model-index" not in front_matter(card(metrics=[]))
    assert "81.6" in card() and "81.6" not in split_card(card())[0]  # the paper's figure is in the text alone


def test_the_hubs_own_library_reads_the_metadata():
    text = card(description='quotes " and: colons, # é')
    data = ModelCard(text).data
    assert [(r.metric_type, r.metric_value) for r in data.eval_results] == [("J&F", 71.3), ("J", 70.1), ("F", 72.5)]
    assert data.eval_results[0] == EvalResult(
        task_type="mask-generation",
        task_name="Semi-supervised video object segmentation",
        dataset_type="davis-2016",
        dataset_name="DAVIS-2016 (6 sequences)",
        dataset_split="val",
        metric_type="J&F",
        metric_name="J&F",
        metric_value=71.3,
        metric_args={"command": "vos-zoo evaluate this"},
    )
    assert data.tags == ["video-object-segmentation", "vos_zoo", "crvos"]


def test_every_number_stands_beside_its_command():
    assert "| DAVIS-2016 (6 sequences) | val | 71.3 | 70.1 | 72.5 |" in card() and "    vos-zoo evaluate this" in card()
    assert "Nothing has been measured yet." in card(metrics=[])


@pytest.mark.parametrize(
    ("said", "license", "name"),
    [
        ("MIT", "mit", None),
        ("Apache-2.0", "apache-2.0", None),
        ("Research and non-commercial use", "other", "research-only-training-data"),
        ("Ask us", "other", "see-data-and-terms"),
        (None, None, None),
    ],
)
def test_the_licence_is_put_as_the_hub_wants_it(said, license, name):
    meta = front_matter(card(licence=said))
    assert (meta.get("license"), meta.get("license_name")) == (license, name)
    if said:
        assert f"Terms of these weights: {said}" in card(licence=said)


def test_a_card_has_all_sections_and_the_files_beside_it():
    text = model_card(ModelConfig.from_dict(CONFIG), repo_id="me/thing", files=["recipe.yaml", "example.png", "LICENSE"])
    assert all(f"\n## {section}\n" in text for section in SECTIONS)
    assert 'vos_zoo.load("me/thing")' in text and "](example.png)" in text and "[LICENSE](LICENSE)" in text
    assert front_matter(text)["license_link"] == "LICENSE"
    assert "@inproceedings{crvos2020," in text and "author    = {Cho and Lee}" in text and "https://example.org/paper" in text


def test_provenance_names_recipe_seed_data_and_versions():
    training = {
        "data": "Ten pictures.",
        "recipe": {"seed": 7, "stages": [{"name": "one", "steps": 5, "batch": 2, "frames": 3, "size": [64, 96], "real": 0.5, "lr": 0.1}]},
        "recipe_sha256": "ab" * 32,
        "steps": 5,
        "weights": "the last",
        "files": {"stills/duts": {"files": 10, "bytes": 2000, "sha256": "cd" * 32}},
        "started_from": "another",
        "versions": {"torch": "2.9"},
    }
    text = card(training=training)
    for part in ("seed 7, 5 steps", "| one | 5 | 2 | 3 | 64x96 | 50% | 0.1 |", "abababababababab...", "started from: another", "torch 2.9"):
        assert part in text
    assert "| stills/duts | 10 | 2000 | cdcdcdcdcdcdcdcd... |" in text and "sha256 `" + "0" * 64 in text
    converted = card(training={"data": "x", "converted_from": [{"file": "a.pth", "sha256": "ef" * 32}]})
    assert "Converted from the authors' published weights:\n\n- file a.pth, sha256 efef" in converted


def test_a_config_without_weights_says_so():
    text = card(weights=None, metrics=[])
    assert 'It has no weights yet: `vos_zoo.create("thing")`' in text and "vos_zoo.load" not in text


@pytest.mark.parametrize("name", catalogue.names())
def test_every_config_says_its_limits_and_its_papers_figures(name):
    config = catalogue.read(name)
    assert config.limits and config.published, f"say in hub_configs/{name}/config.json what it fails at, and what its authors published"
    text = model_card(config)
    assert config.limits in text and all(f"- {figure.where}: {figure.what}" in text for figure in config.published)


def test_what_finding_and_redetection_add_to_the_limits():
    assert "takes no mask" in limits(ModelConfig(name="x", architecture="RVOS", model_args={"zero_shot": True}))
    assert "the features of `crvos`" in limits(ModelConfig(name="x", architecture="RVOS", redetection="crvos"))
    assert limits(ModelConfig(name="x", architecture="RVOS")) == "Not described yet."


def make_card(*args: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    return subprocess.run([sys.executable, ROOT / "tools/make_card.py", *map(str, args)], capture_output=True, text=True, env=environment)


def test_scores_are_recorded_once(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    scores = {"mean_jf": 0.8, "mean_j": 0.79, "mean_f": 0.81}
    grouped = {"g": 0.5, "j_seen": 0.51, "f_seen": 0.52, "j_unseen": 0.53, "f_unseen": None}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    (tmp_path / "told.json").write_text(json.dumps({**scores, "about": {"command": "vos-zoo evaluate it"}, "grouped": grouped}))
    twice = [("other", "told", [])] * 2 + [("other", "told", ["--quality", "fast"])] * 2
    for dataset, file, said in [("DAVIS-2016 (6 sequences)", "scores", ["--command", "again"]), *twice]:
        done = make_card(tmp_path, "--scores", tmp_path / f"{file}.json", "--dataset", dataset, "--split", "val", *said)
        assert done.returncode == 0, done.stderr
    config = ModelConfig.read(tmp_path / "config.json")
    assert [(row["dataset"], row["command"], row["J&F"]) for row in config.metrics] == [
        ("DAVIS-2016 (6 sequences)", "again", 80.0),
        ("other", "vos-zoo evaluate it", 80.0),
        ("other", "vos-zoo evaluate it", 80.0),
    ]
    assert [row.get("quality") for row in config.metrics] == [None, None, "fast"]
    assert "| other, quality fast | val |" in (tmp_path / "README.md").read_text()
    assert (config.metrics[1]["G"], config.metrics[1]["J unseen"]) == (50.0, 53.0) and "F unseen" not in config.metrics[1]
    assert (tmp_path / "README.md").read_text() == folder_card(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"mean_jf": 1, "mean_j": 1, "mean_f": 1, "interrupted": true}', "was interrupted, so its means are over some clips only"),
        ("{}", "holds no scores. Give the file that vos-zoo evaluate --json wrote"),
        ("not json", "can't be read"),
        ('{"mean_jf": 1, "mean_j": 1, "mean_f": 1}', "and --command where the file does not say it"),
    ],
)
def test_scores_that_can_not_be_recorded(tmp_path, content, message):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "scores.json").write_text(content)
    done = make_card(tmp_path, "--scores", tmp_path / "scores.json", "--dataset", "d", "--split", "val")
    assert done.returncode != 0 and message in done.stderr and not (tmp_path / "README.md").exists()


@pytest.mark.parametrize("name", catalogue.names())
def test_cards_that_ship_are_up_to_date(name):
    folder = catalogue.folder() / name
    assert (folder / "README.md").read_text() == folder_card(folder), f"run: python tools/make_card.py {folder}"
    assert ModelCard((folder / "README.md").read_text()).data.library_name == "vos_zoo"
