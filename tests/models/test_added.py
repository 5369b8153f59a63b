"""A model is one file and one folder: in a copy of the package, or in a package of somebody else's that pip installs."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from added import model_file, write_entry
from training_data import write_clip

ROOT = Path(__file__).resolve().parents[2]
USE = """
import json, sys
from pathlib import Path
import numpy as np
import vos_zoo
from vos_zoo.checkpoints.card import folder_card
from vos_zoo.cli import main
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import evaluate
place = Path(sys.argv[1])
said = {"home": vos_zoo.__file__, "rows": [row.name for row in vos_zoo.list_models()]}
made = vos_zoo.create("dot", device="cpu", dtype="float32")
made.save_pretrained(place / "saved", dtype=None)
loaded = vos_zoo.load(place / "saved", device="cpu", dtype="float32")
said["args"], said["parameters"] = loaded.info()["model_args"], loaded.info()["parameters"]
options = ["--device", "cpu", "--workers", "0", "--no-tensorboard", "--set", "stages.0.steps=2"]
said["train"] = main(["train", "--from", str(place / "saved"), "--clips", str(place / "clips"), "--out", str(place / "run"), *options])
trained = vos_zoo.load(place / "run" / "model", device="cpu", dtype="float32")
said["trained"] = trained.config.name
said["jf"] = evaluate(trained, load_dataset(f"folder:{place / 'clips'}")).mean_jf
said["card"] = folder_card(place / "saved")
print(json.dumps(said))
"""


def python(code: str, *args: object, path: list[Path], warns: str | None = None) -> str:
    """What a fresh interpreter prints last, with these folders on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500, cwd=path[0])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("can't be used") == (0 if warns is None else 1), done.stderr
    assert warns is None or warns in done.stderr
    return done.stdout.splitlines()[-1]


def test_one_file_and_one_folder_add_a_model(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "vos_zoo", tree / "vos_zoo", ignore=shutil.ignore_patterns("__pycache__", "hub_configs"))
    shutil.copytree(ROOT / "hub_configs", tree / "hub_configs", ignore=shutil.ignore_patterns("*.safetensors", "*.png", "*.md"))
    (tree / "pyproject.toml").touch()
    before = {path: path.read_bytes() for path in tree.rglob("*.py")}

    (tree / "vos_zoo" / "models" / "dot.py").write_text(model_file())
    write_entry(tree / "hub_configs")
    assert all(path.read_bytes() == content for path, content in before.items())

    for name in ("a", "b"):
        write_clip(tmp_path / "clips" / name, frames=5)
    said = json.loads(python(USE, tmp_path, path=[tree]))
    assert said["home"] == str(tree / "vos_zoo" / "__init__.py")
    assert "dot" in said["rows"] and "crvos" in said["rows"]
    assert said["args"] == {"tolerance": 0.15} and said["parameters"] == 1
    assert (said["train"], said["trained"]) == (0, "dot-finetuned") and said["jf"] > 0.5
    for part in ("# dot", "It knows nothing but colours.", "- drawings: 99.9 (Table 1)", "Dots: A Toy", 'load("dot")'):
        assert part in said["card"]


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """package(): a folder for sys.path with somebody's package of models in it, registered by its entry point."""

    def make(name: str = "their_dots", value: str | None = None, model: str = "dot", source: str | None = None, **changes: object) -> Path:
        site = tmp_path / "site"
        home = site / name
        home.mkdir(parents=True)
        (home / "__init__.py").write_text("raise RuntimeError('nobody asked for this package')\n" if value == "broken" else "")
        (home / f"{model.replace('-', '_')}.py").write_text(model_file() if source is None else source)
        write_entry(home / "hub_configs", model, **changes)
        about = site / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[vos_zoo.models]\n{name} = {value or name}\n")
        return site

    return make


LOAD = """
import sys, vos_zoo
from vos_zoo.cli import main
assert {"dot", "crvos", "scm"} <= {row.name for row in vos_zoo.list_models()}
assert main(["list"]) == 0
made = vos_zoo.create("dot", device="cpu", dtype="float32")
made.save_pretrained(sys.argv[1], dtype=None)
print(type(vos_zoo.load(sys.argv[1], device="cpu").model).__module__, vos_zoo.load("crvos-resnet18", device="cpu").config.name)
"""


def test_a_package_may_name_the_class(package, tmp_path):
    site = package(value="their_dots.dot:Dot")
    assert python(LOAD, tmp_path / "saved", path=[site, ROOT]) == "their_dots.dot crvos-resnet18"


def test_its_weights_lie_beside_its_config(package, tmp_path):
    site = package()
    code = """
import sys, vos_zoo
vos_zoo.create("dot", device="cpu").save_pretrained(sys.argv[1], overwrite=True)
row, = vos_zoo.list_models("dot")
print(row.ships, vos_zoo.load("dot", device="cpu").config.name)
"""
    assert python(code, site / "their_dots" / "hub_configs" / "dot", path=[site, ROOT]) == "True dot"


BROKEN = {
    "no such module": ({"value": "not_there_at_all"}, "leads nowhere"),
    "syntax error": ({"source": "class Dot(:"}, "can't be read (SyntaxError"),
    "config of another library": ({"library": "other"}, "another library"),
    "config of the wrong type": ({"preprocess": 7}, "preprocess: must be a JSON object"),
}


@pytest.mark.parametrize(("changes", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_package_breaks_nothing_else_and_warns_once(package, changes, message):
    site = package(**changes)
    code = """
import vos_zoo
from vos_zoo.checkpoints.sources import find
from vos_zoo.models.discovery import architectures
assert vos_zoo.list_models() and "CRVOS" in architectures()
print(find("crvos-resnet18").config.name, len(vos_zoo.list_models()) > 5)
"""
    assert python(code, path=[site, ROOT], warns=message) == "crvos-resnet18 True"


def test_a_package_that_can_not_be_imported_is_told_when_it_is_asked_for(package):
    site = package(source=model_file() + "\nraise RuntimeError('no such luck')\n")
    code = """
import vos_zoo
assert len(vos_zoo.list_models()) > 5
try:
    vos_zoo.create("dot")
except vos_zoo.CheckpointError as error:
    print(error)
"""
    assert "Dot of the package their_dots can't be imported (RuntimeError: no such luck)" in python(code, path=[site, ROOT])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "crvos"}, "the package their_dots brings a model 'crvos', and vos_zoo has one of that name"),
        (
            {"source": model_file("CRVOS"), "value": "their_dots.dot:CRVOS"},
            "brings an architecture 'CRVOS', and vos_zoo has one of that name",
        ),
    ],
)
def test_a_name_that_is_taken_is_refused(package, changes, message):
    site = package(**changes)
    code = """
import vos_zoo
for call in (lambda: vos_zoo.list_models(), lambda: vos_zoo.load("crvos")) if %r else (lambda: vos_zoo.load("crvos"),):
    try:
        call()
        print("went on")
    except vos_zoo.CheckpointError as error:
        print(error)
""" % ("model" in changes)
    said = python(code, path=[site, ROOT])
    assert message in said and "pip uninstall their_dots" in said


def test_pip_installs_such_a_package(tmp_path):
    source = tmp_path / "their-dots"
    (source / "their_dots").mkdir(parents=True)
    (source / "their_dots" / "__init__.py").touch()
    (source / "their_dots" / "dot.py").write_text(model_file())
    write_entry(source / "their_dots" / "hub_configs")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "their-dots"\nversion = "1.0"\n'
        '[project.entry-points."vos_zoo.models"]\ntheir_dots = "their_dots"\n[tool.hatch.build.targets.wheel]\npackages = ["their_dots"]\n'
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        tmp_path / "site",
    ]
    done = subprocess.run([*map(str, command), str(source)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"pip or hatchling is not there: {done.stderr[-300:]}")
    assert python(LOAD, tmp_path / "saved", path=[tmp_path / "site", ROOT]).startswith("their_dots.dot ")


NAMED = {  # where a model's name may stand in the package, and why
    "commands/propagate.py": "what is taken where nobody says which",
    "convert/crvos.py": "its authors' one file",
    "convert/rvos.py": "its authors' one file",
    "convert/stm.py": "its authors' one file",
    "pointing/prompts.py": "the one that makes masks of clicks, where nobody says which",
    "train/losses.py": "the loss of that paper",
}


def test_no_other_file_of_the_package_names_a_model():
    own = {path.stem for path in (ROOT / "vos_zoo" / "models").glob("*.py")} - {"__init__", "base", "discovery", "flops"}
    names = {path.parent.name for path in (ROOT / "hub_configs").glob("*/config.json")} | own | {name.upper() for name in own}
    naming = {}
    for path in (ROOT / "vos_zoo").rglob("*.py"):
        place = path.relative_to(ROOT / "vos_zoo").as_posix()
        if place.startswith("models/") and path.stem in own:
            continue
        said = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)}
        if found := {each for each in said if isinstance(each, str) and each in names}:
            naming[place] = found
    assert naming.keys() == NAMED.keys(), naming
