"""A model adapted to one video: a short training on altered copies of its annotated frames (SCM 3.3, "online finetune").

The paper says no more than that it is done. Here every step takes a clip of three frames made of an annotated one, each turned, bent and
lit a little differently, and unrolls the model over it by the very methods that inference uses; the optimiser is Adam, batch normalisation
stays frozen.

A model whose trunk its training left alone, and that tells the trunk's part of a frame apart (`ShowsMaps`), learns behind the trunk
only. Then a few such clips are made beforehand and what the trunk shows of them is computed once. Some are held out: of the weights on the
way, those that do best on these are taken, which may be the ones that it began with.

A model says how far its copy goes on the way to what it learned (`VOSModel.adaptation`, `finetune.between`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.engine.grid import Grid
from vos_zoo.errors import VosZooError
from vos_zoo.masks.read import ObjectMasks
from vos_zoo.models.base import VOSModel
from vos_zoo.system.progress import Progress, reporter
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.finetune import between
from vos_zoo.train.kept import ShowsMaps
from vos_zoo.train.keys import are_keys
from vos_zoo.train.rollout import rollout

FRAMES = 3  # of a clip
WINDOW = 256 * 448  # pixels: a step looks at a part of about this size, near an object, where the frame is larger inside the model
COPIES, HELD_OUT = 8, 2  # clips made beforehand, and how many of them only judge
CHECK = 10  # steps between judgements
# Steps and rate where nobody says others. Behind a trunk: no worse than 80 and 1e-4 on three of DAVIS-2016's training sequences that the
# shipped crvos did not learn from, at half the time. Of a whole model: better than 1e-5 and 3e-4 for a small CRVOS on DAVIS' car-shadow.
BEHIND_TRUNK, WHOLE = (30, 3e-4), (80, 1e-4)
MULTIPLE = 32  # of which a window's sides are multiples: every model's stride and the sizes of its features go into it


class Example(NamedTuple):
    """An annotated frame at its size inside the model."""

    frame: Tensor  # (1, 3, h, w) in [0, 1]
    masks: Tensor  # (1, K, h, w) in [0, 1]

    @classmethod
    def of(cls, grid: Grid, frame: np.ndarray, masks: ObjectMasks, device: torch.device) -> Example:
        """frame (h, w, 3) uint8 and masks of a video's own size."""
        layers = np.stack([masks.labels == k for k in masks.ids])
        return cls(grid.unpadded(grid.frame(frame, device)), grid.unpadded(grid.masks(layers, device)))


def pace(behind_trunk: bool, steps: int | None, lr: float | None) -> tuple[int, float]:
    """Steps and learning rate as given, else the usual ones."""
    usual_steps, usual_lr = BEHIND_TRUNK if behind_trunk else WHOLE
    return usual_steps if steps is None else int(steps), usual_lr if lr is None else lr


def adapted(
    model: VOSModel,
    annotated: Sequence[tuple[Grid, tuple[np.ndarray, ObjectMasks]]],
    *,
    steps: int,
    lr: float,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    behind_trunk: bool = False,
    progress: Progress = None,
) -> VOSModel:
    """A copy of the model in float32, trained on annotated frames that lie on their grids; the model itself is left alone.

    Args:
        dtype: torch.bfloat16 computes in it by autocast, for speed.
        behind_trunk: the model is a `ShowsMaps`, and only what lies behind its trunk learns.

    Raises:
        VosZooError: if the training diverges.
    """
    with torch.inference_mode(False):
        copied = copy.deepcopy(model).float()
        device = next(copied.parameters()).device
        before = {name: value.clone() for name, value in copied.state_dict().items()}
        train(copied, [Example.of(grid, *pair, device) for grid, pair in annotated], steps, lr, seed, dtype, behind_trunk, progress)
        copied.load_state_dict(between(before, copied.state_dict(), model.adaptation))
    return copied


def train(
    model: VOSModel,
    examples: Sequence[Example],
    steps: int,
    lr: float,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    behind_trunk: bool = False,
    progress: Progress = None,
) -> list[float]:
    """The loss of every step."""
    rng = torch.Generator().manual_seed(seed)
    parameters = _unfrozen(model, behind_trunk)
    copies = _Copies(model, examples, parameters, rng) if behind_trunk else None
    precision = torch.autocast(examples[0].frame.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
    optimizer = torch.optim.Adam(parameters, lr=lr)
    losses: list[float] = []
    with reporter(progress, steps, "fine-tuning", unit="step") as report, torch.enable_grad():
        for step in range(steps):
            clip, encode = (altered(examples[step % len(examples)], rng), None) if copies is None else copies.to_learn(step)
            with precision:
                if copies is not None and step % CHECK == 0:
                    copies.judge()
                loss, _ = rollout(model, clip, encode=encode)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters, 1.0)
            if not torch.isfinite(norm):
                raise VosZooError(f"fine-tuning went astray in step {step} (the gradient is {float(norm)}): use a smaller lr than {lr}")
            optimizer.step()
            losses.append(float(loss.detach()))
            report(step + 1)
        if copies is not None:
            with precision:
                copies.judge()
            copies.take_best()
    return losses


class _Copies:
    """Altered clips of the annotated frames, each with what the trunk shows of it; and the weights that did best on those held out."""

    def __init__(self, model: VOSModel, examples: Sequence[Example], parameters: Sequence[Tensor], rng: torch.Generator):
        assert isinstance(model, ShowsMaps)
        self.model, self.parameters = model, parameters
        self.learned_from = max(COPIES - HELD_OUT, len(examples))  # each annotated frame is
        turns = [*range(self.learned_from), *range(HELD_OUT)]
        self.clips = [altered(examples[n % len(examples)], rng) for n in turns]
        with torch.no_grad():
            self.maps = [model.maps(clip.frames[0]) for clip in self.clips]
        self.prepared = model.prepared
        self.least, self.best = math.inf, [p.detach().clone() for p in parameters]

    def to_learn(self, step: int) -> tuple[ClipBatch, Callable[[Tensor], Any]]:
        return self._clip(step % self.learned_from)

    def judge(self) -> None:
        """Keeps the weights if their loss on what is held out is the smallest so far."""
        with torch.no_grad():
            held_out = map(self._clip, range(self.learned_from, len(self.clips)))
            loss = sum(float(rollout(self.model, clip, encode=encode)[0]) for clip, encode in held_out)
        if loss < self.least:
            self.least, self.best = loss, [p.detach().clone() for p in self.parameters]

    def take_best(self) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.best, strict=True):
                parameter.copy_(value)

    def _clip(self, n: int) -> tuple[ClipBatch, Callable[[Tensor], Any]]:
        maps = self.maps[n]

        def encode(frames: Tensor) -> Any:  # a rollout asks for the first frame, and for all after it
            rows = slice(0, 1) if len(frames) == 1 else slice(FRAMES - len(frames), FRAMES)
            return self.prepared(type(maps)(*(each[rows] for each in maps)))

        return self.clips[n], encode


def _unfrozen(model: VOSModel, behind_trunk: bool) -> list[nn.Parameter]:
    """All parameters but those of batch norms (and of trunk and keys) set to learn; statistics stay as they are, the model is in `eval`."""
    model.eval()
    still: list[nn.Module] = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    still += model.trunks() if behind_trunk else []
    frozen = {id(p) for module in still for p in module.parameters()}
    frozen |= {id(p) for name, p in model.named_parameters() if behind_trunk and are_keys(name)}
    learning = [p for p in model.parameters() if id(p) not in frozen and p.is_floating_point()]
    for parameter in learning:
        parameter.requires_grad_(True)
    return learning


def altered(example: Example, rng: torch.Generator) -> ClipBatch:
    """A clip of one annotated frame: one draw of place, turn, size, bend, light and colour, which then drift from frame to frame."""
    device = example.frame.device
    at = _positions(example, rng).to(device)
    frames = F.grid_sample(example.frame.expand(FRAMES, -1, -1, -1), at, padding_mode="reflection", align_corners=False)
    masks = F.grid_sample(example.masks.expand(FRAMES, -1, -1, -1), at, padding_mode="reflection", align_corners=False)
    active = torch.ones(1, masks.shape[1], dtype=torch.bool, device=device)
    return ClipBatch(_relit(frames, rng)[None], (masks > 0.5).float()[None], active)


def _positions(example: Example, rng: torch.Generator) -> Tensor:
    """(FRAMES, H, W, 2): where in the annotated frame, in [-1, 1], each pixel of the clip is taken from."""
    h, w = example.frame.shape[-2:]
    part = min(1.0, math.sqrt(WINDOW / (h * w)))
    height, width = (max(MULTIPLE, round(side * part / MULTIPLE) * MULTIPLE) for side in (h, w))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    time = torch.arange(FRAMES, dtype=torch.float32)
    drift = normal(6) * torch.tensor([0.02, 0.02, 0.02, 0.02, 0.02, 0.01])
    start = normal(6) * torch.tensor([0.0, 0.0, 0.1, 0.1, 0.05, 0.02])
    x, y, turn, zoom, shear, stretch = (start + drift * time[:, None]).unbind(1)
    cos, sin, size = torch.cos(turn), torch.sin(turn), torch.exp(zoom)
    matrix = torch.stack([cos * size * (1 + stretch), -sin * size + shear, sin * size, cos * size * (1 - stretch)], 1).view(FRAMES, 2, 2)

    # Pixels count in half heights of the frame, so that turning does not shear.
    rows = (torch.arange(height) + 0.5 - height / 2) * 2 / h
    columns = (torch.arange(width) + 0.5 - width / 2) * 2 / h
    local = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    centre = _centre(example, (height, width), rng) + torch.stack([x, y], 1)
    bend = normal(1, 2, 4, 6) * 0.03 + normal(1, 2, 4, 6) * 0.015 * time[:, None, None, None]
    bend = F.interpolate(bend, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    at = torch.einsum("tij,hwj->thwi", matrix, local) + centre[:, None, None] + bend
    return at * torch.tensor([h / w, 1.0])


def _centre(example: Example, window: tuple[int, int], rng: torch.Generator) -> Tensor:
    """(2,) x, y in half heights: the middle of a window that shows a random pixel of a random object and lies in the frame if it can."""
    h, w = example.frame.shape[-2:]
    masks = example.masks[0].cpu() > 0.5
    seen = masks.flatten(1).any(1).nonzero()[:, 0]
    draw = torch.rand(4, generator=rng)
    middle = []
    point = (h / 2, w / 2)
    if len(seen):
        pixels = masks[seen[int(draw[0] * len(seen))]].nonzero()
        y, x = pixels[int(draw[1] * len(pixels))].tolist()
        point = (y, x)
    for centre, side, full, shift in zip(point, window, (h, w), draw[2:].tolist(), strict=True):
        free = max(full - side, 0)
        first = min(max(centre - side * (0.2 + 0.6 * shift), 0), free) if free else (full - side) / 2
        middle.append((first + side / 2 - full / 2) * 2 / h)
    return torch.tensor(middle[::-1])


def _relit(frames: Tensor, rng: torch.Generator) -> Tensor:
    """Light, contrast, saturation and tint of a clip; the light drifts. (T, 3, H, W) in [0, 1]."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng).to(frames.device)

    light = torch.exp(normal(1, 1, 1, 1) * 0.1 + normal(1, 3, 1, 1) * 0.03 + normal(len(frames), 1, 1, 1) * 0.02)
    grey, mean = frames.mean(1, keepdim=True), frames.mean((0, 2, 3), keepdim=True)
    frames = grey + (frames - grey) * torch.exp(normal(1, 1, 1, 1) * 0.15)
    frames = (frames - mean) * torch.exp(normal(1, 1, 1, 1) * 0.1) + mean * light
    return frames.clamp(0, 1)
