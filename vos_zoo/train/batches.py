"""The batches of a run, each by its number."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.train.batch import ClipBatch, Sample
from vos_zoo.train.corruption import corrupt
from vos_zoo.train.interrupts import ignore_ctrl_c
from vos_zoo.train.patches import Look
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.sources.clips import AnyClip, without
from vos_zoo.train.sources.stills import StillBank
from vos_zoo.train.sources.views import ViewConfig
from vos_zoo.train.sources.windows import ClipSampler
from vos_zoo.train.synthesis.from_stills import Scenes, Synthesizer
from vos_zoo.train.synthesis.scene import SynthesisConfig


class Draft(NamedTuple):
    """A batch half made: what reads files and the bank is done, the drawing is not."""

    step: int
    drawn: ClipBatch | Scenes
    state: Tensor  # of the generator that decides the rest


class Batches(torch.utils.data.Dataset[Draft | Sample]):
    """Batch number i of a run, drawn from seed + i alone: a resumed run sees what an uninterrupted one would have seen.

    Args:
        clips: those of the recipe's sources by name, or all in a list. Without stills all batches come from clips.

    Raises:
        DataError: at once, if a stage wants what is not there.
    """

    def __init__(self, recipe: Recipe, stills: StillBank | None, clips: Mapping[str, Sequence[AnyClip]] | Sequence[AnyClip]):
        self.recipe, self.stills = recipe, stills
        sources = clips if isinstance(clips, Mapping) else {"clips": clips}
        if stills is None and not any(sources.values()):
            raise DataError("nothing to train on: the recipe's data holds neither stills nor clips")
        self._real: dict[str, dict[str, ClipSampler]] = {}
        self._synthetic: dict[str, Synthesizer] = {}
        for stage in recipe.stages:
            if stills is None or stage.real > 0:
                wanted = {name: without(sources.get(name, ()), stage.clips_skip) for name in recipe.weights_of(stage)}
                wanted = {name: those for name, those in wanted.items() if those}
                missing = [name for name in stage.sources if name not in wanted]
                if not wanted or missing:
                    share = 1.0 if stills is None else stage.real
                    where = f" of source {', '.join(missing)}" if missing else ""
                    raise DataError(
                        f"stage {stage.name} wants {share:.0%} of its batches from real clips, but there are none{where}; set real: 0"
                    )
                view = ViewConfig(**{**recipe.windows, **stage.windows})
                self._real[stage.name] = {
                    name: ClipSampler(those, *stage.size, slots=recipe.slots, view=view) for name, those in wanted.items()
                }
            if stills is not None:
                config = SynthesisConfig(**{**recipe.synthesis, **stage.synthesis})
                self._synthetic[stage.name] = Synthesizer(stills, *stage.size, slots=recipe.slots, config=config)

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> Sample:
        return self.finish(self.draft(step))

    def draft(self, step: int) -> Draft:
        """The part of a batch that is a processor's work in any case."""
        stage, within = self.recipe.stage_at(step)
        rng = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        real = self.stills is None or float(torch.rand((), generator=rng)) < stage.real
        if not real and stage.scenes:
            rng.manual_seed(self.recipe.seed * 1_000_003 + step % stage.scenes)
        drawn = self._window(stage, within, rng) if real else self._synthetic[stage.name].plan(stage.batch, rng)
        return Draft(step, drawn, rng.get_state())

    def finish(self, draft: Draft, device: torch.device | str = "cpu") -> Sample:
        """The rest, on `device`: a GPU draws clips from stills much faster than a processor."""
        stage, within = self.recipe.stage_at(draft.step)
        rng = torch.Generator()
        rng.set_state(draft.state)
        if isinstance(draft.drawn, Scenes):
            skip = stage.skip_limit(within) if stage.gaps == "random" else None
            clip = self._synthetic[stage.name].render(draft.drawn, stage.frames, rng, device, skip)
            if stage.scenes:
                rng.manual_seed(self.recipe.seed * 1_000_003 + draft.step)
        else:
            clip = draft.drawn
        if self.recipe.shuffle_slots:
            clip = _shuffled(clip, rng)
        first = clip.masks[:, 0]
        if float(torch.rand((), generator=rng)) < stage.corrupt:
            first = _spoilt(first, clip.frames[:, 0], clip.frames[:, 0], stage, rng)
        if stage.rehearsal:
            return Sample(clip, first, rehearsal=int(torch.randint(stage.rehearsal + 1, (), generator=rng)))
        share = stage.own_share(within)
        if share >= 1:
            return Sample(clip, first)
        own = torch.rand(stage.frames, generator=rng) < share
        if stage.corrupt_fed or stage.remember_fed or stage.blind:
            clip = _with_mistakes(clip, stage, rng)
        return Sample(clip, first, own)

    def _window(self, stage: Stage, within: int, rng: torch.Generator) -> ClipBatch:
        samplers = self._real[stage.name]
        names, weights = list(samplers), self.recipe.weights_of(stage)
        chosen = names[0]
        if len(names) > 1:
            chosen = names[int(torch.multinomial(torch.tensor([weights[name] for name in names]), 1, generator=rng))]
        every = self.recipe.sources[chosen].every if chosen in self.recipe.sources else 1
        skip = max(1, stage.skip_limit(within) // every)
        return samplers[chosen].batch(stage.batch, stage.frames, rng, max_skip=skip, random_gaps=stage.gaps == "random")

    def from_step(
        self, start: int, workers: int, *, device: torch.device | str = "cpu", rank: int = 0, of: int = 1
    ) -> Generator[Sample, None, None]:
        """Batches start, start + 1, ... to the recipe's end, drawn ahead by so many processes (0: when they are asked for).

        Args:
            device: where clips from stills are drawn. Of each batch process `rank` of so many gets its clips; the drawing is the same in
                all.
        """
        on_gpu = torch.device(device).type != "cpu"
        drafts = torch.utils.data.DataLoader(
            _Drafts(self, range(start, len(self)), finished=not on_gpu, rank=rank, of=of),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            collate_fn=_as_it_is,
            worker_init_fn=ignore_ctrl_c,
        )
        for item in drafts:
            yield item if isinstance(item, Sample) else self.finish(item, device).rows(slice(rank, None, of))


class _Drafts(torch.utils.data.Dataset[Draft | Sample]):
    """What a worker makes of a batch."""

    def __init__(self, batches: Batches, steps: range, finished: bool, rank: int, of: int):
        self.batches, self.steps, self.finished, self.rows = batches, steps, finished, slice(rank, None, of)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, n: int) -> Draft | Sample:
        if self.finished:
            return self.batches[self.steps[n]].rows(self.rows)
        return self.batches.draft(self.steps[n])


def _as_it_is(item: object) -> object:
    return item


def _with_mistakes(clip: ClipBatch, stage: Stage, rng: torch.Generator) -> ClipBatch:
    """`before` filled, with mistakes in a share of its masks; `remembered` too if asked for, wrong like the mask fed next."""
    before = torch.cat([clip.masks[:, :1], clip.masks[:, :-1]], 1) if clip.before is None else clip.before
    wrong = torch.rand(before.shape[1], generator=rng) < stage.corrupt_fed
    fed, remembered = [], []
    for i, masks in enumerate(before.unbind(1)):
        ghosts = None
        if stage.ghosts:
            out_of_sight = clip.active & (masks.amax((2, 3)) == 0)
            ghosts = out_of_sight & (torch.rand(clip.active.shape, generator=rng) < stage.ghosts).to(out_of_sight.device)
        again = torch.Generator()
        again.set_state(rng.get_state())
        here = clip.frames[:, i]
        told = _spoilt(masks, here, here, stage, rng, ghosts) if wrong[i] else masks
        fed.append(_blinded(told, clip.active, stage.blind, rng) if stage.blind else told)
        if stage.remember_fed and i:
            last = clip.masks[:, i - 1]
            remembered.append(_spoilt(last, clip.frames[:, i - 1], here, stage, again, ghosts) if wrong[i] else last)
    clip = clip._replace(before=torch.stack(fed, 1))
    return clip._replace(remembered=torch.stack([*remembered, clip.masks[:, -1]], 1)) if stage.remember_fed else clip


def _spoilt(masks: Tensor, picture: Tensor, reference: Tensor, stage: Stage, rng: torch.Generator, ghosts: Tensor | None = None) -> Tensor:
    """Masks (B, K, H, W) of a picture, corrupted as the stage says; leaks take the reference's colours."""
    look = Look(stage.aligned, picture, reference) if stage.aligned else None
    return corrupt(masks, rng, leaks=stage.leaks, look=look, ghosts=ghosts)


def _blinded(masks: Tensor, active: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """A share of the masks (B, K, H, W) of slots in use become the whole frame, or nothing: half of them each."""
    draw = torch.rand(active.shape, generator=rng).to(active.device)[:, :, None, None]
    whole = active[:, :, None, None] & (draw < share / 2)
    return torch.where(whole, torch.ones_like(masks), torch.where(draw < share, torch.zeros_like(masks), masks))


def _shuffled(clip: ClipBatch, rng: torch.Generator) -> ClipBatch:
    """Every clip's objects in random order; slots in use stay in front."""
    b, k = clip.active.shape
    order = (torch.rand(b, k, generator=rng) + (~clip.active.cpu()).float()).argsort(1).to(clip.masks.device)
    rows = torch.arange(b, device=clip.masks.device)[:, None]

    def ordered(masks: Tensor) -> Tensor:
        return masks.transpose(1, 2)[rows, order].transpose(1, 2).contiguous()

    before = None if clip.before is None else ordered(clip.before)
    return ClipBatch(clip.frames, ordered(clip.masks), clip.active[rows, order], before)
