"""The folder of one entrant, a model or a folder of masks, in a run: OUT/<label>. What is finished there is not done again.

entry.json                      what it is and the settings it ran with
clips/<clip>.json               the scores of one finished clip: whole, or not there
masks/<clip>/<frame>.png        of a model; the folder that the official tool takes as its results
scores.json, global_results-<subset>.csv, per-sequence_results-<subset>.csv
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vos_zoo.errors import EvaluationError, SaveError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.scores import Scores
from vos_zoo.evaluation.scoring import ClipScore
from vos_zoo.system.atomic import write_json
from vos_zoo.system.leftovers import contents

FORMAT = 1
ENTRY_FILE = "entry.json"


@dataclass
class Entry:
    """One entrant. `settings` are what its masks depend on: with others, nothing that is finished counts."""

    folder: Path
    label: str
    dataset: str  # the spec, with an absolute root
    settings: dict[str, Any]
    masks: str  # folder with <clip>/<frame>.png
    about: dict[str, Any] = field(default_factory=dict)  # the machine, the model: for the report

    @classmethod
    def open(
        cls,
        out: Path,
        label: str,
        dataset: str,
        settings: Mapping[str, Any],
        *,
        masks: str | Path | None = None,
        about: Mapping[str, Any] | None = None,
        tell: Callable[[str], object] = print,
    ) -> Entry:
        """The entrant's folder, new or as an earlier run left it; `tell` hears why finished clips don't count any more.

        Args:
            masks: where they lie already; None: they will be written here.

        Raises:
            EvaluationError: if `out` belongs to another data set.
        """
        if not re.fullmatch(r"[\w.+-]+", label) or label.startswith("."):
            raise EvaluationError(f"{label!r} can't be the name of a folder of results: use letters, digits, '.', '-', '_' and '+'")
        others = [other for other in entries(out) if other.dataset != dataset]
        if others:
            raise EvaluationError(f"{out} holds scores on {others[0].dataset}, not on {dataset}: choose another folder")
        folder = out / label
        plain = json.loads(json.dumps(dict(settings)))
        entry = cls(folder, label, dataset, plain, str(masks or folder / "masks"), dict(about or {}))
        if (folder / ENTRY_FILE).is_file():
            changed = _difference(_read(folder).settings, plain)
            records = list((folder / "clips").glob("*.json"))
            if changed and records:
                tell(f"{label}: {changed} since {folder} was written, so its {_count(len(records), 'finished clip')} will be done again")
                entry.forget()
        elif folder.is_dir() and contents(folder):
            raise SaveError(f"{folder} is there already and holds something else: choose another folder for the results")
        write_json(folder / ENTRY_FILE, entry.as_dict())
        return entry

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "label": self.label,
            "dataset": self.dataset,
            "settings": self.settings,
            "masks": self.masks,
            "about": self.about,
        }

    def finished(self, clips: Iterable[Clip], tell: Callable[[str], object] = print) -> dict[str, ClipScore]:
        """The scores of the clips that are done, by name; those whose true masks have changed since are not."""
        found = {}
        for clip in clips:
            path = self._record(clip.name)
            if not path.is_file():
                continue
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                if record["truth"] != clip.digest():
                    tell(f"{self.label}: the true masks of {clip.name} have changed since it was scored, so it will be done again")
                    continue
                found[clip.name] = ClipScore.from_dict(record["score"])
            except (ValueError, KeyError, TypeError) as error:
                tell(f"{self.label}: {path} can't be read ({type(error).__name__}: {error}), so {clip.name} will be done again")
        return found

    def forget(self) -> None:
        """Nothing is finished any more."""
        for record in (self.folder / "clips").glob("*.json"):
            record.unlink()

    def keep(self, clip: Clip, score: ClipScore) -> None:
        """From now on the clip is finished."""
        write_json(self._record(clip.name), {"truth": clip.digest(), "score": score.as_dict()})

    def write(self, scores: Scores, subset: str) -> None:
        """scores.json and the official CSV files."""
        about = {name: value for name, value in self.as_dict().items() if name not in ("masks", "format")}
        scores.to_json(self.folder / "scores.json", **about)
        scores.to_official_csv(self.folder, subset)

    def _record(self, name: str) -> Path:
        return self.folder / "clips" / f"{name}.json"


def entries(out: Path) -> list[Entry]:
    """The entrants in a folder, by label. EvaluationError names one that can't be read."""
    if out.exists() and not out.is_dir():
        raise SaveError(f"{out} is a file, and the results need a folder: choose another")
    return [_read(path.parent) for path in sorted(out.glob(f"*/{ENTRY_FILE}"))]


def _read(folder: Path) -> Entry:
    path = folder / ENTRY_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"it is of format {record['format']!r}, and this vos_zoo reads {FORMAT}")
        return Entry(folder, record["label"], record["dataset"], record["settings"], record["masks"], record["about"])
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{path} can't be read ({type(error).__name__}: {error}): delete {folder}, or choose another folder"
        ) from error


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    shown = [f"{key} has changed ({_short(old.get(key))} to {_short(new.get(key))})" for key in changed]
    return " and ".join(shown)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
