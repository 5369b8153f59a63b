"""Tensor arithmetic that two or more models need. Letters: B clips, K objects, H x W pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Probabilities are kept in [1e-7, 1 - 1e-7] before objects compete (STM, A-GAME and CRVOS alike); this is that bound as log odds.
MAX_LOG_ODDS = math.log((1 - 1e-7) / 1e-7)
SURE = 0.6  # pixels above the threshold, in shares of a mask's sum, from which on it is handed on hard


def aggregate(logits: Tensor, active: Tensor | None = None, background: str = "min") -> Tensor:
    """Soft aggregation: let objects that were segmented one by one compete for each pixel.

    logits (B, K, H, W): log odds of every object by itself. active (B, K) bool: slots in use (None: all).
    background: "min", the smallest of the objects' background probabilities (CRVOS, A-GAME), or "prod", their product (STM,
    eq. 1). Returns probabilities (B, 1 + K, H, W), background first, summing to 1. One object alone is sharpened, not
    copied: 0.7 becomes 0.845.
    """
    logits = logits.float().clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    if active is not None:
        logits = logits.masked_fill(~active[:, :, None, None], -math.inf)
    if background == "min":
        none_of_them = -logits.amax(1, keepdim=True)
    elif background == "prod":
        log_b = torch.nn.functional.logsigmoid(-logits).sum(1, keepdim=True)
        none_of_them = log_b - torch.log(-torch.expm1(log_b).clamp(max=-1e-7))
    else:
        raise ValueError(f"background is 'min' or 'prod', not {background!r}")
    none_of_them = none_of_them.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    return torch.cat([none_of_them, logits], 1).softmax(1)


def fed_back(masks: Tensor, threshold: float | None) -> Tensor:
    """What a model hands on to the next frame of its masks (B, K, H, W) in [0, 1]: all of them, or 1 above the threshold and 0 elsewhere.

    Soft masks let a leak of 0.3 ring through every frame; hard ones are what the first frame's mask was. A mask that is mostly below
    the threshold (fewer pixels above it than 0.6 of the mask's sum) stays soft: of an object that is nearly lost, this trace is all
    there is to find it again by. The gradient of hard masks is that of the soft ones (straight through).
    """
    if threshold is None:
        return masks
    soft = masks.detach()
    hard = (soft > threshold).to(masks.dtype)
    sure = hard.sum((2, 3), keepdim=True) > SURE * soft.sum((2, 3), keepdim=True)
    handed_on = torch.where(sure, hard, soft)
    return handed_on + (masks - soft) if masks.requires_grad else handed_on


def check_threshold(threshold: float | None) -> None:
    """ValueError unless `fed_back` takes it."""
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"feedback_threshold lies between 0 and 1, or is None for soft masks, not {threshold}")


def compete(scores: Tensor, active: Tensor | None = None) -> Tensor:
    """Let objects whose scores are final compete for each pixel: the likeliest wins where it exceeds 0.5 (RVOS, ACCLVOS).

    scores (B, K, H, W) in [0, 1], every object by itself; active (B, K) bool: slots in use (None: all). Returns probabilities
    (B, 1 + K, H, W), background first, summing to 1: the background's share is what the best object leaves. One object alone is
    copied, not sharpened.
    """
    scores = scores.float()
    if active is not None:
        scores = scores * active[:, :, None, None]
    shares = torch.cat([1 - scores.amax(1, keepdim=True), scores], 1)
    return shares / shares.sum(1, keepdim=True)


def one_claim(scores: Tensor, active: Tensor) -> Tensor:
    """Scores of which no two exceed 0.5 at a pixel. It is left to the object that claims most; the others' are turned to one minus theirs.

    Slots that look for objects by themselves (RVOS without a mask) often find the same one, and by the pixel they would cut it to pieces.
    How much an object claims is the sum of its squared scores, so that what is sure counts. scores (B, K, H, W) in [0, 1]; active (B, K)
    bool: slots in use.
    """
    claimed = (scores > 0.5) & active[:, :, None, None]
    claims = claimed * scores.float().square().sum((2, 3), keepdim=True)
    return torch.where(claimed & (claims < claims.amax(1, keepdim=True)), 1 - scores, scores)


def mask_pyramid(masks: Tensor, strides: tuple[int, ...]) -> list[Tensor]:
    """Masks (B, K, H, W) at powers of two as strides: 2x2 max-pooling again and again, rounded up (RVOS, ACCLVOS).

    Rounding up is also what the strided convolutions of a ResNet do, so that the maps fit its features for any H and W.
    """
    halved = [masks]
    while 2 ** (len(halved) - 1) < max(strides):
        halved.append(torch.nn.functional.max_pool2d(halved[-1], 2, ceil_mode=True))
    return [halved[stride.bit_length() - 1] for stride in strides]


def coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """(3, height, width): position along the height and the width in [-1, 1], and distance from the centre in [0, sqrt 2].

    CoordConv's channels in the order of CRVOS 2.2. dtype and device are those of `like`.
    """
    y = _from_minus_one_to_one(height, like)[:, None].expand(height, width)
    x = _from_minus_one_to_one(width, like)[None, :].expand(height, width)
    return torch.stack([y, x, (y * y + x * x).sqrt()]).to(like.dtype)


def _from_minus_one_to_one(steps: int, like: Tensor) -> Tensor:
    if torch.compiler.is_compiling():  # linspace would make the number of steps a constant of the graph
        return torch.arange(steps, dtype=torch.float32, device=like.device) * 2 / max(steps - 1, 1) - 1
    return torch.linspace(-1, 1, steps, dtype=torch.float32, device=like.device)


def resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear, corners on corners (RVOS, ACCLVOS)."""
    if not torch.compiler.is_compiling() and tuple(x.shape[-2:]) == tuple(size):  # a graph for any size can't ask
        return x
    return torch.nn.functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def by_position(maps: Tensor, b: int) -> Tensor:
    """(B*K, C, h, w) -> (B, K, h * w, C)."""
    return maps.flatten(2).transpose(1, 2).unflatten(0, (b, -1))


def add_per_object(of_objects: Tensor, of_frame: Tensor) -> Tensor:
    """(B*K, C, h, w) + (B, C, h, w), the latter the same for the K objects of a frame."""
    b = of_frame.shape[0]
    return (of_objects.unflatten(0, (b, -1)) + of_frame[:, None]).flatten(0, 1)


def inside(frames: Tensor, stride: int) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 1, H, W) bool: False on black rows and columns at the border, as many as padding can give."""
    lit = (frames > 0).any(1)

    def line(lit: Tensor) -> Tensor:
        place = torch.arange(lit.shape[1], device=lit.device)
        middle = (place >= (stride - 1) // 2) & (place < lit.shape[1] - stride // 2)
        return (lit.cumsum(1) > 0) & (lit.flip(1).cumsum(1).flip(1) > 0) | middle

    return line(lit.any(2))[:, None, :, None] & line(lit.any(1))[:, None, None, :]
