"""All that a recipe trains on, found, checked and read; and a fingerprint of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vos_zoo.datasets.kept_out import kept_out
from vos_zoo.train.recipe import Recipe
from vos_zoo.train.sources.clips import AnyClip, load_clips, training_clips, without
from vos_zoo.train.sources.layouts import ClipFiles, find_clips
from vos_zoo.train.sources.problems import Problems
from vos_zoo.train.sources.stills import StillBank, load_stills, pairs_of


@dataclass
class Data:
    stills: StillBank | None
    clips: dict[str, list[AnyClip]]  # by source
    fingerprint: dict[str, Any]

    def __str__(self) -> str:
        count = sum(len(clips) for clips in self.clips.values())
        return f"{0 if self.stills is None else len(self.stills)} stills, {count} clips"


def load_data(
    recipe: Recipe,
    root: Path,
    cache: Path,
    *,
    index: Path | None = None,
    memory: float = 4.0,
    on_bad_data: str = "skip",
) -> Data:
    """Read what the recipe names under `root`.

    Args:
        index: where the recipe's clips_index lies, if not under root.
        memory: GiB for decoded clips; more are decoded when drawn. What is wrong with files is listed all at once, and left out ("skip") or
            a DataError ("stop").

    Raises:
        DataError: if a folder is missing.
    """
    problems = Problems()
    files: dict[str, list[ClipFiles]] = {}
    if recipe.clips:
        index = index or (root / recipe.clips_index if recipe.clips_index else None)
        found = training_clips(root, index, problems) if index or not recipe.sources else []
        files["clips"] = without(found, recipe.clips_skip)
    for name, source in recipe.sources.items():
        files[name] = find_clips(source.layout, root / source.root, problems)
    folders = [root / name for name in recipe.stills]
    stills = load_stills(folders, cache, problems) if folders else None
    if stills is not None and recipe.kept_out:
        stills = stills.without(kept_out(stills.names, recipe.kept_out))
    clips: dict[str, list[AnyClip]] = {}
    for name, each in files.items():
        clips[name] = load_clips(each, problems, short_side=recipe.short_side, memory=memory, cache=cache)
        memory -= sum(clip.frames.nbytes for clip in clips[name] if hasattr(clip, "frames")) / 2**30
    problems.settle(on_bad_data)
    parts = {f"stills {folder.name}": [p for pair in pairs_of(folder, Problems()) for p in pair if p] for folder in folders}
    parts |= {f"clips {name}": [p for clip in each for pair in clip.pairs for p in pair] for name, each in files.items() if each}
    return Data(stills, clips, {name: fingerprint(paths, root) for name, paths in parts.items()})


def fingerprint(paths: Iterable[Path], root: Path) -> dict[str, Any]:
    """How many files, how many bytes, and a hash of their names (under root) and sizes."""
    facts = sorted((path.relative_to(root).as_posix(), path.stat().st_size) for path in paths)
    text = "".join(f"{name} {size}\n" for name, size in facts)
    return {"files": len(facts), "bytes": sum(size for _, size in facts), "sha256": hashlib.sha256(text.encode()).hexdigest()}
