"""What measured times are divided by: a yardstick, or another model in the same case, in the same run, right before and after.

Seconds belong to one machine and its load; ratios within one run can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vos_zoo.benchmark.stages import STAGES, Measurable
from vos_zoo.benchmark.synthetic import Size, SyntheticClip
from vos_zoo.engine.inputs import InputSize

if TYPE_CHECKING:
    import torch

YARDSTICK = "one fp32 NCHW eager forward of timm resnet50(features_only, output_stride=16) on one {}x{} frame"
YARDSTICK_SIZE = (480, 864)


class Baseline(Protocol):
    """Measured beside every run of a stage."""

    name: str

    def begin(self, stage: str, clip: SyntheticClip, video: Path) -> Callable[[], float]:
        """Warmed up for that case: a function that gives its seconds a frame, anew each time."""
        ...


class Yardstick:
    """YARDSTICK: a unit of speed that is the same for all models and cases. size: (H, W) of its frame; another is another unit."""

    name = "yardstick"

    def __init__(self, size: Size = YARDSTICK_SIZE, device: torch.device | str = "cpu"):
        import timm
        import torch

        self.size, self._device = size, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            self._model = timm.create_model("resnet50", pretrained=False, features_only=True, output_stride=16).eval().to(device)
        self._frame = torch.zeros(1, 3, *size, device=device)
        self._forward()

    def measure(self) -> float:
        """Seconds of one forward."""
        return timed(self._forward, waiter(self._device))

    def begin(self, stage: str, clip: SyntheticClip, video: Path) -> Callable[[], float]:
        return self.measure

    def __str__(self) -> str:
        return YARDSTICK.format(*self.size)

    def _forward(self) -> None:
        import torch

        with torch.inference_mode():
            self._model(self._frame)


class OtherModel:
    """The same stage of another model, on the same clip."""

    def __init__(self, segmenter: Measurable, inside: InputSize = None):
        self.name: str = segmenter.config.name
        self._segmenter, self._inside = segmenter, inside

    def begin(self, stage: str, clip: SyntheticClip, video: Path) -> Callable[[], float]:
        run = prepared(self._segmenter, stage, clip, video, self._inside)
        run()
        wait = waiter(self._segmenter.device)
        return lambda: timed(run, wait) / len(clip)

    def __str__(self) -> str:
        return f"{self.name}, the same stage of the same clip"


def prepared(segmenter: Measurable, stage: str, clip: SyntheticClip, video: Path, inside: InputSize) -> Callable[[], Any]:
    """One run of a stage over all frames, without gradients."""
    import torch

    with torch.inference_mode():
        run = STAGES[stage][1](segmenter, clip, video, inside)

    def without_gradients() -> None:
        with torch.inference_mode():
            run()

    return without_gradients


def timed(run: Callable[[], Any], wait: Callable[[], Any] = lambda: None) -> float:
    """Seconds that it takes. wait: returns when the device has done all that it was given."""
    wait()
    begun = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - begun


def waiter(device: torch.device) -> Callable[[], Any]:
    """A function that returns when the device has done all that it was given."""
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None
