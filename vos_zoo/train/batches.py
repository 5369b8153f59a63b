"""The batches of a run, each by its number."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.clips import Clip
from vos_zoo.train.corruption import corrupt
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.scene import SynthesisConfig
from vos_zoo.train.stills import StillBank
from vos_zoo.train.synthesis import Synthesizer
from vos_zoo.train.windows import ClipSampler


class Batches(torch.utils.data.Dataset[tuple[ClipBatch, Tensor]]):
    """Batch number i of a run, drawn from seed + i alone: a resumed run sees what an uninterrupted one would have seen.

    An item is a batch and the masks that the model is told of its first frame, (B, K, H, W) in [0, 1], corrupted or true. Without
    stills all batches come from clips. DataError at once if a stage wants what is not there.
    """

    def __init__(self, recipe: Recipe, stills: StillBank | None, clips: list[Clip]):
        self.recipe, self.stills = recipe, stills
        if stills is None and not clips:
            raise DataError("nothing to train on: the recipe's data holds neither stills nor clips")
        self._real: dict[tuple[tuple[int, int], int], ClipSampler] = {}
        self._synthetic: dict[str, Synthesizer] = {}
        for stage in recipe.stages:
            if stills is None or stage.real > 0:
                if not clips:
                    raise DataError(
                        f"stage {stage.name} wants {stage.real:.0%} of its batches from real clips, but there are none; set real: 0"
                    )
                sampler = ClipSampler(clips, *stage.size, slots=recipe.slots, max_skip=stage.max_skip)
                self._real[stage.size, stage.max_skip] = sampler
            if stills is not None:
                config = SynthesisConfig(**{**recipe.synthesis, **stage.synthesis})
                self._synthetic[stage.name] = Synthesizer(stills, *stage.size, slots=recipe.slots, config=config)

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[ClipBatch, Tensor]:
        stage, _ = self.recipe.stage_at(step)
        rng = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        real = self.stills is None or float(torch.rand((), generator=rng)) < stage.real
        clip = self._source(stage, real).batch(stage.batch, stage.frames, rng)
        first = clip.masks[:, 0]
        if float(torch.rand((), generator=rng)) < stage.corrupt:
            first = corrupt(first, rng)
        return clip, first

    def _source(self, stage: Stage, real: bool) -> ClipSampler | Synthesizer:
        return self._real[stage.size, stage.max_skip] if real else self._synthetic[stage.name]

    def from_step(self, start: int, workers: int) -> Iterator[tuple[ClipBatch, Tensor]]:
        """Batches start, start + 1, ... to the recipe's end, drawn ahead by so many processes (0: when they are asked for)."""
        rest = torch.utils.data.Subset(self, range(start, len(self)))
        return iter(torch.utils.data.DataLoader(rest, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))
