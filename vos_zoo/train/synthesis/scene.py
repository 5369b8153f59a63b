"""What is in a synthetic clip: a stack of layers, back to front.

The base is a whole still, which moves as one, with or without its object filled in. Cutouts are objects of the same or of other
stills, which move by themselves.
Coordinates of a frame and of a texture: y in [-1, 1], x in [-W/H, W/H] ("isotropic": a unit is half the height in both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from vos_zoo.train.sources.stills import StillBank


@dataclass
class SynthesisConfig:
    together: float = 0.5  # share of clips whose object moves with its own still; else it is cut out
    own_background: float = 0.5  # of the cut-out ones: over its own still, filled in; else over another still
    pasted: tuple[float, ...] = (0.3, 0.45, 0.25)  # probabilities of 0, 1, 2 ... further cutouts
    look_alike: float = 0.3  # a pasted cutout is another copy of the target
    speed: tuple[float, ...] = (0.01, 0.04, 0.1)  # objects' velocity, half frame heights a frame, one drawn a clip
    camera: float = 0.03  # camera velocity, the same units
    spin: float = 0.04  # radians a frame
    zoom: float = 0.025  # log scale a frame
    elastic: float = 0.05  # amplitude of the elastic field, half frame heights
    freeze: float = 0.1  # share of clips in which nothing moves
    returning: float = 0.0  # share of cutouts that turn back midway: what left the frame, or went behind another, comes again
    vanishing: float = 0.0  # share of cutouts that are gone for a stretch behind the first frame, and there again if the clip goes on
    shake: float = 0.0  # camera shake, half frame heights a frame, in a third of the clips
    bars: float = 0.0  # share of clips with thin things in front: poles, fences, twigs
    motion_blur: float = 0.0  # share of clips in which what moves is blurred along its way
    companions: float = 0.0  # share of the `together` clips in which the still's other objects are targets too


class Layer(NamedTuple):
    texture: int  # still
    number: int  # of the object in the still's map; 0: the whole still (base)
    slot: int  # target slot or -1
    own: int  # base only: number of the target that moves with it, or 0
    fill: int  # base only: number of the object to fill in, or 0
    centre: tuple[float, float]  # texture point (isotropic) that the layer turns about
    scale: float  # frame units per texture unit
    place: tuple[float, float]  # where the centre lies in the first frame
    flip: bool
    rider: bool = False  # no picture of its own: another object of the base's still, a target that moves with it


def plan_scene(bank: StillBank, config: SynthesisConfig, ratio: float, slots: int, rng: torch.Generator) -> list[Layer]:
    """The layers of one clip, the base first. ratio: width / height of the frames. The first target has slot 0."""
    target = int(uniform(rng) * len(bank.objects))
    still, index = bank.objects[target].tolist()
    cutouts: list[tuple[int, int]] = []  # (object, slot)
    own = fill = 0
    if uniform(rng) < config.together:
        base, own = still, index
    elif uniform(rng) < config.own_background:
        base, fill = still, index
    else:
        base = int(uniform(rng) * len(bank))
    if not own:
        cutouts.append((target, 0))
    for slot in range(1, 1 + _count(config.pasted, rng)):
        pasted = target if uniform(rng) < config.look_alike else int(uniform(rng) * len(bank.objects))
        cutouts.append((pasted, slot if slot < slots else -1))
    layers = [_base(bank, base, target if own else None, fill, ratio, rng)]
    riders = _riders(bank, layers[0], slots, rng) if config.companions and own and uniform(rng) < config.companions else []
    if riders:
        cutouts = [(pasted, slot + len(riders) if 0 <= slot < slots - len(riders) else -1) for pasted, slot in cutouts]
    layers += [_cutout(bank, pasted, slot, ratio, rng) for pasted, slot in cutouts]
    if len(layers) > 2 and uniform(rng) < 0.5:  # a pasted thing may lie behind the target
        layers[1], layers[-1] = layers[-1], layers[1]
    return [layers[0], *riders, *layers[1:]]


def _riders(bank: StillBank, base: Layer, slots: int, rng: torch.Generator) -> list[Layer]:
    """The base still's other objects, in random order, as far as there are slots behind the first."""
    here = (bank.objects[:, 0] == base.texture) & (bank.objects[:, 1] != base.own)
    numbers = bank.objects[here, 1].tolist()
    chosen = torch.randperm(len(numbers), generator=rng)[: slots - 1].tolist()
    return [base._replace(own=numbers[n], slot=slot, rider=True) for slot, n in enumerate(chosen, 1)]


def _count(probabilities: tuple[float, ...], rng: torch.Generator) -> int:
    """0, 1, 2 ... with these probabilities."""
    draw = uniform(rng)
    for n, p in enumerate(probabilities):
        if draw < p:
            return n
        draw -= p
    return len(probabilities) - 1


def _base(bank: StillBank, still: int, target: int | None, fill: int, ratio: float, rng: torch.Generator) -> Layer:
    """A whole still that covers the frame; it looks at its target, the object that moves with it, if it has one."""
    aspect = float(bank.aspects[still])
    cover = max(ratio / aspect, 1.0)
    scale = cover * (1 + 0.5 * uniform(rng) ** 2)
    x, y = (uniform(rng) * 2 - 1) * 0.3 * aspect, (uniform(rng) * 2 - 1) * 0.3
    if target is not None:
        x0, y0, x1, y1 = bank.boxes[target].tolist()
        x = (x0 + x1) / 2 * aspect + 0.5 * (uniform(rng) * 2 - 1) / scale
        y = (y0 + y1) / 2 + 0.5 * (uniform(rng) * 2 - 1) / scale
    free_x, free_y = max(aspect - ratio / scale, 0), max(1 - 1 / scale, 0)
    centre = (max(-free_x, min(free_x, x)), max(-free_y, min(free_y, y)))
    own = 0 if target is None else int(bank.objects[target, 1])
    return Layer(still, 0, 0 if own else -1, own, fill, centre, scale, (0.0, 0.0), uniform(rng) < 0.5)


def _cutout(bank: StillBank, number: int, slot: int, ratio: float, rng: torch.Generator) -> Layer:
    """An object by itself, somewhere in the frame; the first target is drawn a little larger."""
    texture, index = bank.objects[number].tolist()
    aspect = float(bank.aspects[texture])
    x0, y0, x1, y1 = bank.boxes[number].tolist()
    extent = max((x1 - x0) * aspect, y1 - y0) / 2
    size = 0.15 + 0.65 * uniform(rng) if slot == 0 else 0.12 + 0.55 * uniform(rng)
    place = ((uniform(rng) * 2 - 1) * 0.8 * ratio, (uniform(rng) * 2 - 1) * 0.75)
    centre = ((x0 + x1) / 2 * aspect, (y0 + y1) / 2)
    return Layer(texture, index, slot, 0, 0, centre, min(size / extent, 3.0), place, uniform(rng) < 0.5)


def uniform(rng: torch.Generator) -> float:
    return float(torch.rand((), generator=rng))
