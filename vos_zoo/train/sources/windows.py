"""Windows of real clips: consecutive or skipped frames, one view and one draw of each transform a window (views.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.sources.clips import AnyClip
from vos_zoo.train.sources.look_alikes import bystanders, twin
from vos_zoo.train.sources.photometry import clip_photometry
from vos_zoo.train.sources.views import ViewConfig, view_grid


@dataclass
class ClipSampler:
    """Draws windows: a clip, an object, a skip, a view. height, width: of the crops, in pixels."""

    clips: Sequence[AnyClip]
    height: int
    width: int
    slots: int = 2
    view: ViewConfig = field(default_factory=ViewConfig)

    def __post_init__(self) -> None:
        self.clips = [c for c in self.clips if c.runs]
        if not self.clips:
            raise DataError("no clip has an object that is seen in two neighbouring annotated frames; add clips, or train on stills alone")
        # Longer clips count more, many clips of one source ("source__clip") less, both by the square root.
        sources = Counter(_source(c) for c in self.clips)
        self._weights = torch.tensor([(len(c) / sources[_source(c)]) ** 0.5 for c in self.clips])

    def batch(
        self,
        clips: int,
        frames: int,
        rng: torch.Generator,
        device: torch.device | str = "cpu",
        *,
        max_skip: int = 3,
        random_gaps: bool = False,
    ) -> ClipBatch:
        """A batch of windows; rng decides everything.

        Args:
            max_skip: the largest distance between neighbouring frames of a window: one distance a window, or, with random_gaps, each drawn
                by itself; then `before` is filled.
        """
        windows = [self._window(frames, max_skip, random_gaps, rng, device) for _ in range(clips)]
        pictures, masks, before, active = (torch.stack([w[n] for w in windows]) for n in range(4))
        if self.view.photometry:
            pictures = clip_photometry(pictures, rng)
        return ClipBatch(pictures, masks, active, before if random_gaps else None)

    def _window(
        self, t: int, max_skip: int, random_gaps: bool, rng: torch.Generator, device: torch.device | str
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """frames (T, 3, height, width), masks and the masks just before (T, slots, height, width), active (slots,)."""
        clip = self.clips[int(torch.multinomial(self._weights, 1, generator=rng))]
        target = list(clip.runs)[_draw(len(clip.runs), rng)]
        start, stop = clip.runs[target][_draw(len(clip.runs[target]), rng)]
        index = self._frames_of_run(start, stop, t, max_skip, random_gaps, rng)
        if random_gaps:
            back = 1 if index[-1] >= index[0] else -1
            index = torch.cat([index, (index - back).clamp(start, stop - 1)])
        frames, ids = (each.to(device) for each in clip.take(index))
        first, last = int(index.min()), int(index.max())
        others = [k for k, runs in clip.runs.items() if k != target and any(a <= first and last < b for a, b in runs)]
        chosen = [target] + [others[i] for i in torch.randperm(len(others), generator=rng)[: self.slots - 1].tolist()]
        masks = torch.stack([ids == k for k in chosen], 1).float()
        if len(chosen) < self.slots:
            masks = F.pad(masks, (0, 0, 0, 0, 0, self.slots - len(chosen)))
        grid = view_grid(masks[:t], (self.height, self.width), self.view, rng).expand(len(masks), -1, -1, -1)
        both = torch.cat([frames.float() / 255, masks], 1)
        both = F.grid_sample(both, grid, padding_mode="reflection", align_corners=False)
        active = torch.arange(self.slots, device=device) < len(chosen)
        pictures, masks = both[:, :3], (both[:, 3:] > 0.5).float() * active[:, None, None]
        if self.view.bystanders and float(torch.rand((), generator=rng)) < self.view.bystanders:
            pictures, masks = bystanders(pictures, masks, rng)
        if self.view.twins and len(chosen) == 1 and self.slots > 1 and float(torch.rand((), generator=rng)) < self.view.twins:
            pictures, masks = twin(pictures, masks, clip.name)
            active = torch.arange(self.slots, device=device) < 2
        return pictures[:t], masks[:t], masks[-t:], active

    def _frames_of_run(self, start: int, stop: int, t: int, max_skip: int, random_gaps: bool, rng: torch.Generator) -> Tensor:
        """(t,) frame numbers in [start, stop), forwards or backwards; a run too short for consecutive frames is played back again."""
        limit = max(1, min(max_skip, (stop - start - 1) // max(t - 1, 1)))
        gaps = torch.randint(1, limit + 1, (t - 1,), generator=rng) if random_gaps else torch.full((t - 1,), 1 + _draw(limit, rng))
        first = start + _draw(max(1, stop - start - int(gaps.sum())), rng)
        index = F.pad(gaps.cumsum(0), (1, 0)) + first
        index = torch.where(index < stop, index, 2 * (stop - 1) - index).clamp(start, stop - 1)
        return index.flip(0) if torch.rand((), generator=rng) < self.view.reverse else index


def _source(clip: AnyClip) -> str:
    return clip.name.split("__")[0]


def _draw(n: int, rng: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=rng))
