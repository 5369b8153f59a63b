"""Windows of real clips: consecutive or skipped frames, cropped around an object, one draw of each transform a window."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.clips import Clip
from vos_zoo.train.photometry import clip_photometry


@dataclass
class ClipSampler:
    """Draws windows: a clip, an object, a skip, a crop around the object. height, width: of the crops, in pixels."""

    clips: list[Clip]
    height: int
    width: int
    slots: int = 2
    max_skip: int = 3  # the largest distance between neighbouring frames of a window

    def __post_init__(self) -> None:
        self.clips = [c for c in self.clips if c.runs]
        if not self.clips:
            raise DataError("no clip has an object that is seen in two neighbouring annotated frames; add clips, or train on stills alone")
        # Longer clips count more, many clips of one source ("source__clip") less, both by the square root.
        sources = Counter(_source(c) for c in self.clips)
        self._weights = torch.tensor([(len(c.frames) / sources[_source(c)]) ** 0.5 for c in self.clips])

    def batch(self, clips: int, frames: int, rng: torch.Generator, device: torch.device | str = "cpu") -> ClipBatch:
        """A batch of windows; rng decides everything."""
        windows = [self._window(frames, rng, device) for _ in range(clips)]
        pictures = clip_photometry(torch.stack([w[0] for w in windows]), rng)
        return ClipBatch(pictures, torch.stack([w[1] for w in windows]), torch.stack([w[2] for w in windows]))

    def _window(self, t: int, rng: torch.Generator, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor]:
        """frames (T, 3, height, width), masks (T, slots, height, width), active (slots,)."""
        clip = self.clips[int(torch.multinomial(self._weights, 1, generator=rng))]
        target = list(clip.runs)[_draw(len(clip.runs), rng)]
        start, stop = clip.runs[target][_draw(len(clip.runs[target]), rng)]
        index = self._frames_of_run(start, stop, t, rng)
        frames, ids = clip.frames[index].to(device), clip.ids[index].to(device)
        first, last = int(index.min()), int(index.max())
        others = [k for k, runs in clip.runs.items() if k != target and any(a <= first and last < b for a, b in runs)]
        chosen = [target] + [others[i] for i in torch.randperm(len(others), generator=rng)[: self.slots - 1].tolist()]
        masks = torch.stack([ids == k for k in chosen], 1).float()
        if len(chosen) < self.slots:
            masks = F.pad(masks, (0, 0, 0, 0, 0, self.slots - len(chosen)))
        grid = self._crop(masks[:, 0], rng)
        both = torch.cat([frames.float() / 255, masks], 1)
        both = F.grid_sample(both, grid, padding_mode="reflection", align_corners=False)
        active = torch.arange(self.slots, device=device) < len(chosen)
        return both[:, :3], (both[:, 3:] > 0.5).float() * active[:, None, None], active

    def _frames_of_run(self, start: int, stop: int, t: int, rng: torch.Generator) -> Tensor:
        """(t,) frame numbers in [start, stop), evenly spaced, forwards or backwards; a short run is played back again."""
        skip = 1 + _draw(max(1, min(self.max_skip, (stop - start - 1) // max(t - 1, 1))), rng)
        reach = (t - 1) * skip
        first = start + _draw(max(1, stop - start - reach), rng)
        index = torch.arange(t) * skip + first
        index = torch.where(index < stop, index, 2 * (stop - 1) - index).clamp(start, stop - 1)
        return index.flip(0) if torch.rand((), generator=rng) < 0.5 else index

    def _crop(self, mask: Tensor, rng: torch.Generator) -> Tensor:
        """(T, height, width, 2) sampling grid: a crop that keeps the object's first place in sight. mask (T, H, W)."""
        t, h, w = mask.shape
        ys, xs = mask[0].nonzero(as_tuple=True)
        cx, cy = (float(xs.float().mean()) / w * 2 - 1, float(ys.float().mean()) / h * 2 - 1) if len(xs) else (0.0, 0.0)
        u = torch.rand(6, generator=rng).tolist()
        zoom = 0.45 + 0.6 * u[0]  # share of the frame's height that is seen
        half_h, half_w = zoom, zoom * (self.width / self.height) / (w / h)
        shrink = min(1.0, 1.05 / half_w)
        half_h, half_w = half_h * shrink, half_w * shrink
        centre_x = _within(cx + (u[1] * 2 - 1) * 0.6 * half_w, 1 - half_w)
        centre_y = _within(cy + (u[2] * 2 - 1) * 0.6 * half_h, 1 - half_h)
        turn, shear = (u[3] * 2 - 1) * 0.2, (u[4] * 2 - 1) * 0.15
        flip = -1.0 if u[5] < 0.5 else 1.0
        ratio = w / h
        a = half_w * ratio  # turned in isotropic units (half frame heights), then back to the frame's own [-1, 1]
        cos, sin = math.cos(turn), math.sin(turn)
        theta = torch.tensor(
            [
                [flip * a * cos / ratio, half_h * (sin + shear) / ratio, centre_x],
                [-flip * a * sin, half_h * cos, centre_y],
            ]
        )
        return F.affine_grid(theta[None].to(mask.device), [1, 1, self.height, self.width], align_corners=False).expand(t, -1, -1, -1)


def _source(clip: Clip) -> str:
    return clip.name.split("__")[0]


def _within(v: float, limit: float) -> float:
    limit = max(limit, 0.0)
    return max(-limit, min(limit, v))


def _draw(n: int, rng: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=rng))
