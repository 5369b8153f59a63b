"""Which models the page offers, in plain words; each is loaded once for all visitors."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vos_zoo

WORDS = {  # of a model's own name, or of its architecture
    "crvos": "Remembers how things looked.",
    "crvos:fast": "Sees frames smaller: in half the time, edges less exact.",
    "crvos:best": "Sees frames larger, and learns your objects first: more than twice as long.",
    "CRVOS": "For one or a few objects. May lose them among look-alikes.",
    "RVOS": "Light, with a memory of how things moved. For several objects at once.",
    "ACCLVOS": "Like RVOS with a wider view of the frame; quicker.",
    "SCM": "Remembers earlier frames: better when an object comes back, slower.",
}
FINDS_OBJECTS = "Nothing to mark."
# the first choices, without research names
PLAIN = {"crvos:fast": "Fast", "crvos": "Better", "crvos:best": "Best", "rvos-zeroshot": "Finds objects itself"}
IN_MEMORY = 2  # models: the one chosen and the one that it is compared with


@dataclass(frozen=True)
class Choice:
    name: str  # what vos_zoo.load takes; behind a colon its quality
    title: str
    words: str

    @property
    def label(self) -> str:
        return f"{PLAIN.get(self.name, self.title)}: {self.words}"


class Choices:
    """The models on offer: by default all that vos_zoo lists with weights; or `names`, as `vos_zoo.load` takes them."""

    def __init__(self, names: Sequence[str] | None = None):
        rows = {row.name: row for row in vos_zoo.list_models()}
        chosen = names
        if chosen is None:
            here = [name for name, row in rows.items() if row.has_weights and row.follows]
            chosen = sorted([*here, *(name for name in PLAIN if parts(name)[1] and parts(name)[0] in here)], key=[*PLAIN, *rows].index)
        self.offered = tuple(_choice(name, rows.get(parts(name)[0])) for name in chosen)
        self.plain = sum(choice.name in PLAIN for choice in self.offered)
        if not self.offered:
            raise vos_zoo.ModelNotFoundError("no model here has weights, so that there is nothing to show: install vos_zoo again")
        self.missing = tuple(name for name, row in rows.items() if row.follows and not row.has_weights and name not in chosen)
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, vos_zoo.Segmenter] = OrderedDict()

    @property
    def names(self) -> list[str]:
        return [choice.name for choice in self.offered]

    @property
    def default(self) -> str:
        return "crvos" if "crvos" in self.names else self.names[0]

    def title(self, name: str) -> str:
        return next((choice.title for choice in self.offered if choice.name == name), name)

    def segmenter(self, name: str) -> vos_zoo.Segmenter:
        """The loaded model; the one used longest ago makes room for it."""
        with self._lock:
            if name not in self._loaded:
                while len(self._loaded) >= IN_MEMORY:
                    self._loaded.popitem(last=False)
                model, quality = parts(name)
                self._loaded[name] = vos_zoo.load(model, quality=quality or "normal")
            self._loaded.move_to_end(name)
            return self._loaded[name]

    def finds_objects(self, name: str) -> bool:
        return self.segmenter(name).finds_objects


def parts(name: str) -> tuple[str, str]:
    """Model and quality of a choice's name; quality "" where none is named."""
    model, _, quality = name.partition(":") if name in PLAIN else (name, "", "")  # elsewhere a colon may be of a path
    return model, quality


def _choice(name: str, row: Any) -> Choice:
    if row is None:
        return Choice(name, Path(name).name, "A model of your own.")
    words = WORDS.get(name) or WORDS.get(row.architecture, row.description)
    if "zeroshot" in name:
        words = FINDS_OBJECTS
    quality = parts(name)[1] or "normal"
    mine = [metric for metric in row.metrics if metric.get("quality", "normal") == quality]
    scores = [metric["J&F"] for metric in mine if isinstance(metric.get("J&F"), (int, float))]
    return Choice(name, name, f"{words} Scores {scores[0]:.0f} of 100 on public test clips." if scores else words)
