"""Which proposal stands for which object: the assignment with the largest sum."""

from __future__ import annotations

from math import inf

import numpy as np
from numpy.typing import ArrayLike

from vos_zoo.errors import EvaluationError


def assign(profit: ArrayLike) -> list[int]:
    """For every object (column) of `profit` (P, G) a proposal (row) of its own, so that the sum is largest.

    The Hungarian method with potentials, O(G^2 P) (Kuhn 1955, Munkres 1957): objects enter one by one, each along the
    shortest path that improves the assignment of those before it.

    Raises:
        EvaluationError: if there are fewer proposals than objects, or a value is not finite.
    """
    values = np.asarray(profit, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < values.shape[1]:
        raise EvaluationError(f"profit has shape {values.shape}; give (P, G) with at least as many proposals P as objects G")
    if not np.isfinite(values).all():
        raise EvaluationError("profit holds values that are not finite; every proposal needs a number for every object")
    cost = -values.T  # (G, P)
    objects, proposals = cost.shape
    of_object, of_proposal = np.zeros(objects), np.zeros(proposals)  # potentials: cost - both >= 0
    owner = np.full(proposals, -1)  # the object that a proposal is assigned to
    for newcomer in range(objects):
        distance = np.full(proposals, inf)
        before = np.full(proposals, -1)  # the proposal from which the path came
        done = np.zeros(proposals, dtype=bool)
        g, last = newcomer, -1
        while True:
            reduced = cost[g] - of_object[g] - of_proposal
            closer = ~done & (reduced < distance)
            distance[closer] = reduced[closer]
            before[closer] = last
            nearest = int(np.argmin(np.where(done, inf, distance)))
            step = distance[nearest]
            of_object[newcomer] += step
            of_object[owner[done]] += step
            of_proposal[done] -= step
            distance[~done] -= step
            done[nearest] = True
            last = nearest
            if owner[nearest] < 0:
                break
            g = int(owner[nearest])
        while last >= 0:
            owner[last] = owner[before[last]] if before[last] >= 0 else newcomer
            last = int(before[last])
    return [int(np.flatnonzero(owner == g)[0]) for g in range(objects)]
