"""How long a run will take: from the model's own time a frame, measured here, and from the clip's pixels."""

from __future__ import annotations

import math
import threading
import time

import numpy as np

import vos_zoo
from studio.clips import Clip

# Beside the model's time a frame at its usual input, each megapixel of a clip costs decoding, resizing, compressing, drawing and encoding.
# In units of crvos's time, since both grow on a slower machine: measured on 240p and 1080p clips as 1.4 times the time of
# crvos-resnet18, which takes 0.48 of crvos-stills'; 0.66 of it following, the rest writing.
PIXELS = 0.67
FIXED = 2.0  # seconds a run: opening, finishing files
MARGIN = 1.3  # better early than late
ADAPTING = 30  # frames that a model could follow while it learns a marked one: 18 of crvos where the CPU has bfloat16, more where not


class Speed:
    """Learns from every run. Before the first: a guess of a frame's time, put right by `measure`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frame: dict[str, float] = {}  # model -> seconds a frame
        self._adapting: dict[str, float] = {}  # model -> seconds before the first
        self._unit = 1.0  # seconds that crvos takes a frame: a cautious guess
        self._factor = 1.0  # of the runs so far: taken by predicted

    def knows(self, name: str) -> bool:
        return name in self._frame

    def measure(self, name: str, segmenter: vos_zoo.Segmenter) -> float:
        """Seconds a frame, by a few frames of noise."""
        frames = np.random.default_rng(0).integers(0, 255, (4, 240, 432, 3), np.uint8)
        mask = np.zeros((240, 432), np.uint8)
        mask[80:160, 140:280] = 1
        done: list[float] = []
        given = None if segmenter.finds_objects else mask
        segmenter.propagate(frames, given, finetune=False, mode="latency", progress=lambda *_: done.append(time.perf_counter()))
        seconds = (done[-1] - done[1]) / (len(done) - 2)  # the first step sets things up
        with self._lock:
            self._frame[name] = seconds
            self._adapting[name] = ADAPTING * seconds if segmenter.adapts else 0.0
            if name == "crvos" or len(self._frame) == 1:
                self._unit = seconds
        return seconds

    def predict(self, clip: Clip, names: list[str], frames: int | None = None) -> float:
        """Seconds from pressing the button to the finished files."""
        return FIXED + MARGIN * self._factor * self._raw(clip, names, clip.frames if frames is None else frames)

    def learn(self, clip: Clip, names: list[str], frames: int, seconds: float) -> None:
        """After a finished run: how the machine's pace relates to the guess."""
        raw = self._raw(clip, names, frames)
        if frames < 10 or raw <= 0:
            return
        with self._lock:
            self._factor = float(np.clip(0.5 * self._factor + 0.5 * max(seconds - FIXED, 0.1) / raw, 0.1, 10))

    def _raw(self, clip: Clip, names: list[str], frames: int) -> float:
        models = sum(self._frame.get(name, self._unit) for name in names)
        before = sum(self._adapting.get(name, 0.0) for name in names)
        return before + frames * (models + PIXELS * self._unit * clip.megapixels * (1 + 0.5 * (len(names) - 1)))


def range_in_words(seconds: float) -> str:
    """A time with what it may become: from 0.7 to 1.4 times, in round numbers. "about 1 to 2 minutes"."""
    low, high = 0.7 * seconds / MARGIN, 1.4 * seconds / MARGIN
    if high < 90:
        low, high = 5 * max(1, round(low / 5)), 5 * max(1, math.ceil(high / 5))
        return f"about {low} to {high} seconds" if low < high else f"about {high} seconds"
    low, high = max(1, round(low / 60)), math.ceil(high / 60)
    return f"about {low} to {high} minutes" if low < high else f"about {high} minutes"


def in_words(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(5, 5 * -(-round(seconds) // 5))} seconds"
    return f"about {-(-round(seconds) // 60)} minutes"
