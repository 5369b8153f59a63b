"""YouTube-VOS's layout, for a hold-out: its own validation masks are not public, only its server scores those.

    ROOT/JPEGImages/<video>/00000.jpg, 00005.jpg, ...   every fifth frame, or all frames (which flatters memory models)
    ROOT/Annotations/<video>/00000.png, 00005.png, ...  the true masks, on every fifth frame
    ROOT/meta.json    {"videos": {"<video>": {"objects": {"<id>": {"category": "person", "frames": ["00000", ...]}}}}}

Objects begin at different frames, the first that meta.json names for each, and are given there. Each is scored on the annotated
frames after its first, without the clip's last. G is the mean of J and F over objects of seen and of unseen categories.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vos_zoo.datasets.places import Place
from vos_zoo.errors import EvaluationError


def youtubevos(root: Path, *, seen: str | Path | None = None) -> list[Place]:
    """The videos of meta.json, by name. EvaluationError says what is missing or not as it should be."""
    meta_file = root / "meta.json"
    if not meta_file.is_file():
        inside = [folder for folder in ("train", "valid") if (root / folder / "meta.json").is_file()]
        hint = f"; give {root / inside[0]}" if inside else "; give the folder that holds JPEGImages, Annotations and meta.json"
        raise EvaluationError(f"{root} has no meta.json{hint}")
    videos = _videos(meta_file)
    trained = _categories(Path(seen).expanduser() if seen is not None else root / "seen.txt", wanted=seen is not None)
    places = []
    for name, objects in sorted(videos.items()):
        starts: dict[int, str] = {}
        known: dict[int, bool] = {}
        for key, about in objects.items():
            where = f"{meta_file}: video {name!r}, object {key!r}"
            frames = about.get("frames") if isinstance(about, dict) else None
            if not (key.isdecimal() and int(key) > 0) or not isinstance(frames, list) or not frames:
                raise EvaluationError(
                    f'{where} needs a whole number as its id and "frames", the names of its frames; it is given in the first'
                )
            starts[int(key)] = min(map(str, frames))
            if trained is not None:
                if not isinstance(about.get("category"), str):
                    raise EvaluationError(
                        f'{where} has no "category", so it is neither seen nor unseen: add it, or leave out which are seen'
                    )
                known[int(key)] = about["category"] in trained
        rules = {"indices": True, "seen": known if trained is not None else dict.fromkeys(starts, True)}
        places.append(Place(name, root / "JPEGImages" / name, root / "Annotations" / name, rules, starts))
    return places


def _videos(meta_file: Path) -> dict[str, dict[str, Any]]:
    try:
        meta = json.loads(meta_file.read_text(encoding="utf-8"))
        videos = {str(name): dict(about["objects"]) for name, about in meta["videos"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f'{meta_file} is not as YouTube-VOS has it ({type(error).__name__}: {error}); expected {{"videos": {{NAME: {{"objects": {{ID: '
            '{"category": ..., "frames": [...]}}}}}'
        ) from error
    empty = [name for name, objects in videos.items() if not objects]
    if not videos or empty:
        what = f"object of video {empty[0]!r}" if videos else "video"
        raise EvaluationError(f"{meta_file} names no {what}; take it out, or complete the file")
    return videos


def _categories(path: Path, wanted: bool) -> set[str] | None:
    """Those trained on; None where nobody says."""
    if not path.is_file():
        if wanted:
            raise EvaluationError(f"there is no file {path} with the categories that were trained on")
        return None
    if path.suffix.lower() == ".json":
        found = {about.get("category") for objects in _videos(path).values() for about in objects.values() if isinstance(about, dict)}
        categories = {each for each in found if isinstance(each, str)}
    else:
        categories = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    if not categories:
        raise EvaluationError(f"{path} names no category; it should hold one a line, or be the meta.json of the training set")
    return categories
