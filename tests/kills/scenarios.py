"""Runs that may be killed at any instant, and what must hold then. Models and clips are tiny; each has a folder of its own."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import evaluation_data
import many_clips
import numpy as np
import torch
from publishing import tiny_checkpoint
from training_data import MODEL_ARGS, bank_of, recipe, tiny_crvos, write_stills

from vos_zoo.cli import main
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.entry import Entry
from vos_zoo.evaluation.evaluate import Propagating as Evaluating
from vos_zoo.evaluation.run import run as evaluate
from vos_zoo.jobs.destination import place_of
from vos_zoo.jobs.folder import find_tasks
from vos_zoo.jobs.run import Run
from vos_zoo.jobs.work import Propagating
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.workers import work_through
from vos_zoo.train.batches import Batches
from vos_zoo.train.loop import Every, train
from vos_zoo.train.trainer import Trainer
from vos_zoo.videos.video import open_video

FRAMES = 6
NAMES = ["ant", "bee", "cow"]
SMALL = {"backbone": "resnet10t"}  # a checkpoint of it is saved in no time


@dataclass(frozen=True)
class Scenario:
    """A run.

    Args:
        name: what --scenario calls it.
        prepare: writes the input into an empty folder.
        work: the run, in a process of its own.
        whole: asserts, after a kill, that everything under a final name is whole; gives what must be the same after the next run.
        done: asserts, after the next run, that all is there; gets what `whole` gave.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    whole: Callable[[Path], Any]
    done: Callable[[Path, Any], None]


def _visible(folder: Path) -> list[Path]:
    """What lies under final names, hidden things and those within them left out."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.name.startswith("."):
            found += [path, *(_visible(path) if path.is_dir() else [])]
    return found


def _masks_whole(folder: Path, frames: int) -> bool:
    return not folder.exists() or len(MaskSequence.load(folder)) == frames


# ---- one video


def _clip(root: Path) -> None:
    many_clips.write_video(root / "a.mp4", FRAMES)
    many_clips.write_mask(root / "a.png")
    tiny_checkpoint(root / "tiny")


def _propagate(root: Path) -> None:
    options = ["--mask", str(root / "a.png"), "--model", str(root / "tiny"), "--device", "cpu", "--save", "masks,overlay,zip,coco"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["propagate", str(root / "a.mp4"), *options, "--out", str(root / "out"), "--overwrite", "--no-progress"]) == 0


def _propagated_whole(root: Path) -> set[str]:
    out = root / "out"
    assert _masks_whole(out / "masks", FRAMES)
    for path in _visible(out):
        if path.suffix == ".mp4":
            assert open_video(path).count() == FRAMES
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None and len(archive.namelist()) == FRAMES + 1
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    return {path.name for path in _visible(out)}


def _propagated(root: Path, before: set[str]) -> None:
    after = _propagated_whole(root)
    assert before <= after and {"masks", "overlay.mp4"} <= after, (before, after)


# ---- many


def _clips(root: Path) -> None:
    many_clips.write_clips(root / "many", *NAMES)


def _many(root: Path) -> None:
    place, tasks = place_of(str(root / "out")), find_tasks(str(root / "many")).tasks  # type: ignore[union-attr]
    place.begin()
    try:
        run = Run.open(place, {}, tasks)
        before, _ = run.finished(tasks)
        job = Propagating(partial(many_clips.Still, root / "began", 0.005), {}, ("masks", "overlay", "coco"), str(root / "out"), run.id)
        for record in work_through([job], [task for task in tasks if task.name not in before], lambda name, done: None):
            place.log(record)
    finally:
        place.end()


def _many_whole(root: Path) -> dict[str, int]:
    """When each finished clip was finished."""
    found = {}
    for folder in (path for path in _visible(root / "out") if path.is_dir() and path.parent == root / "out"):
        record = folder / "record.json"
        assert json.loads(record.read_text(encoding="utf-8"))["status"] == "done" and _masks_whole(folder / "masks", 4)
        assert open_video(next(folder.glob("*.mp4"))).count() == 4
        found[folder.name] = record.stat().st_mtime_ns
    return found


def _many_done(root: Path, before: dict[str, int]) -> None:
    after = _many_whole(root)
    assert sorted(after) == NAMES and before.items() <= after.items(), "a finished clip was done again"
    logged = [json.loads(line)["name"] for line in (root / "out/jobs.jsonl").read_text().splitlines()]
    assert sorted(logged) == NAMES, logged


# ---- save(overwrite=True)


def _sequence(value: int) -> MaskSequence:
    masks = MaskSequence(many_clips.SIZE, fps=25)
    for _ in range(FRAMES):
        masks.append(np.full(many_clips.SIZE, value, np.uint8))
    return masks


def _saved(root: Path) -> None:
    _sequence(1).save(root / "out")


def _save(root: Path) -> None:
    for turn in range(12):
        _sequence(turn % 2 + 1).save(root / "out", overwrite=True)


def _saved_whole(root: Path) -> None:
    masks = MaskSequence.load(root / "out")
    assert len(masks) == FRAMES and len({int(each.max()) for each in masks}) == 1, "two results were mixed"


# ---- train


def _stills(root: Path) -> None:
    write_stills(root / "stills", count=2)


@functools.cache
def _batches(root: Path) -> Batches:
    plain = recipe(clips=False, frozen=(), model_args={**MODEL_ARGS, **SMALL})
    for stage in plain.stages:
        stage.real = 0.0
    return Batches(plain, bank_of(root / "stills", cache=root / "cache", size=48), [])


def _train(root: Path) -> None:
    torch.manual_seed(0)
    batches = _batches(root)
    train(Trainer(tiny_crvos(**SMALL), batches.recipe), batches, root / "out", workers=0, every=Every(save=1, log=1), show=False)


def _trained_whole(root: Path) -> int:
    """The last step that was saved."""
    path = root / "out/checkpoint.pt"
    return torch.load(path, weights_only=True)["step"] if path.exists() else 0


@functools.cache
def _undisturbed(root: Path) -> dict[str, Any]:
    """What a run that nobody killed ends with."""
    torch.manual_seed(0)
    batches = _batches(root)
    train(Trainer(tiny_crvos(**SMALL), batches.recipe), batches, root / "whole", workers=0, every=Every(save=6, log=6), show=False)
    return torch.load(root / "whole/checkpoint.pt", weights_only=True)["model"]


def _trained(root: Path, before: int) -> None:
    found = torch.load(root / "out/checkpoint.pt", weights_only=True)
    assert found["step"] == 6 >= before
    assert all(torch.equal(value, found["model"][name]) for name, value in _undisturbed(root).items()), "the run went on otherwise"
    steps = [json.loads(line)["step"] for line in (root / "out/log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6], steps


# ---- evaluate


def _dataset(root: Path) -> None:
    for name in NAMES:
        evaluation_data.write_clip(root / "data", name, frames=4, ids=(1,))


def _evaluate(root: Path) -> None:
    clips = load_dataset(f"folder:{root / 'data'}")
    entry = Entry.open(root / "out", "still", "folder:/data", {}, tell=lambda what: None)
    evaluate(Evaluating(evaluation_data.Still, save=Path(entry.masks)), clips, entry=entry)


def _evaluated_whole(root: Path) -> dict[str, int]:
    for path in _visible(root / "out"):
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    for folder in (root / "out/still/masks").glob("[!.]*"):
        assert len(list(folder.glob("[!.]*.png"))) == 4
    return {path.stem: path.stat().st_mtime_ns for path in (root / "out/still/clips").glob("[!.]*.json")}


def _evaluated(root: Path, before: dict[str, int]) -> None:
    after = _evaluated_whole(root)
    assert sorted(after) == NAMES and before.items() <= after.items(), "a finished clip was scored again"
    assert len(json.loads((root / "out/still/scores.json").read_text())["clips"]) == len(NAMES)


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("propagate", _clip, _propagate, _propagated_whole, _propagated),
        Scenario("many", _clips, _many, _many_whole, _many_done),
        Scenario("save", _saved, _save, _saved_whole, lambda root, before: _saved_whole(root)),
        Scenario("train", _stills, _train, _trained_whole, _trained),
        Scenario("evaluate", _dataset, _evaluate, _evaluated_whole, _evaluated),
    )
}


def leftovers(folder: Path) -> list[str]:
    """Hidden names below a folder, which nobody should be left with."""
    return sorted(name for _, folders, files in os.walk(folder) for name in (*folders, *files) if name.startswith("."))
