"""Which of the slots that a zero-shot model fills belongs to which object."""

from __future__ import annotations

import torch
from torch import Tensor

from vos_zoo.errors import DataError
from vos_zoo.train.losses import soft_iou


def match_slots(probs: Tensor, truth: Tensor, active: Tensor) -> Tensor:
    """(B, P): for each predicted slot its object, or -1. The assignment with the largest sum of soft IoU (Hungarian), as in RVOS.

    probs (B, P, H, W) predicted; truth (B, K, H, W), active (B, K) bool: objects in use. An object that is not seen is not matched.
    DataError if a clip has more objects than there are slots.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise DataError("zero-shot training matches objects with SciPy: pip install scipy") from error
    b, p = probs.shape[:2]
    k = truth.shape[1]
    if k > p:
        raise DataError(f"clips of up to {k} objects, but the model fills {p} slots; lower the recipe's slots or raise model_args.slots")
    pairs = soft_iou(probs.detach().float().repeat_interleave(k, 1), truth.repeat(1, p, 1, 1))
    gain = pairs.view(b, p, k).cpu().numpy()
    seen = (active & (truth.sum((2, 3)) > 0)).cpu()
    found = torch.full((b, p), -1)
    for n in range(b):
        objects = seen[n].nonzero()[:, 0]
        slots, columns = linear_sum_assignment(gain[n][:, objects.numpy()], maximize=True)
        found[n, torch.as_tensor(slots)] = objects[torch.as_tensor(columns)]
    return found.to(probs.device)


def arrange(masks: Tensor, owner: Tensor) -> Tensor:
    """Objects' masks (B, K, H, W) by predicted slot, (B, P, H, W): empty where owner (B, P) is -1."""
    index = owner.clamp(min=0)[:, :, None, None].expand(*owner.shape, *masks.shape[2:])
    return masks.gather(1, index) * (owner >= 0)[:, :, None, None]
