"""What a run was: recipe, data, versions. Saved with it, and taken from there into config.json."""

from __future__ import annotations

import hashlib
import json
import platform
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from vos_zoo.errors import DataError, VosZooWarning
from vos_zoo.system.atomic import write_json
from vos_zoo.train.recipe import Recipe
from vos_zoo.train.recipe_entries import recipe_from

PACKAGES = ("torch", "timm", "numpy", "accelerate", "pillow")


def versions(library: str) -> dict[str, str]:
    """Of this library, of Python, and of what else decides a run's numbers."""
    found = {"vos_zoo": library, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the resolved recipe."""
    return hashlib.sha256(json.dumps(recipe.as_dict(), sort_keys=True).encode()).hexdigest()


def record(out: Path, recipe: Recipe, library: str, facts: dict[str, Any]) -> None:
    """Write out/recipe.json and out/run.json. A run that goes on by another recipe, or on other data, than it began with says so.

    Args:
        library: its version.
        facts: whatever else is to be known of the run; "data" among them is compared.
    """
    path, run = out / "recipe.json", out / "run.json"
    going_on = (out / "checkpoint.pt").exists()
    if going_on and path.exists():
        before, now = read_recipe(out).as_dict(), recipe.as_dict()
        changed = [key for key in now if now[key] != before[key]]
        if changed:
            warnings.warn(f"the run in {out} began with other values of {', '.join(changed)}", VosZooWarning, stacklevel=2)
    if going_on and run.exists() and "data" in facts:
        data = json.loads(run.read_text(encoding="utf-8")).get("data", {})
        changed = sorted(name for name in {*data, *facts["data"]} if data.get(name) != facts["data"].get(name))
        if changed:
            warnings.warn(f"the run in {out} began with other files in {', '.join(changed)}", VosZooWarning, stacklevel=2)
    for file, content in ((path, recipe.as_dict()), (run, {**facts, "versions": versions(library)})):
        write_json(file, content)


def read_recipe(out: Path) -> Recipe:
    """The recipe of a run, from its folder. DataError if there is none."""
    path = out / "recipe.json"
    try:
        return recipe_from(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read ({error}); give the folder of a training run") from error


def provenance(out: Path, recipe: Recipe, library: str) -> dict[str, Any]:
    """What config.json's `training` says of a run: its recipe, data, seed, versions and last figures."""
    run = out / "run.json"
    facts = json.loads(run.read_text(encoding="utf-8")) if run.exists() else {"versions": versions(library)}
    log = out / "log.jsonl"
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    return {
        "recipe": json.loads(json.dumps(recipe.as_dict())),
        "recipe_sha256": recipe_hash(recipe),
        "files": facts.get("data", {}),
        "started_from": facts.get("started_from"),
        "processes": facts.get("processes", 1),
        "last_log": next((row for row in reversed(rows) if "loss" in row), None),
        "versions": facts["versions"],
    }
