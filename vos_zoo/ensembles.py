"""Several Segmenters that decide together (SCM 3.3): one Segmenter with all their members. See `engine/views.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.errors import VosZooError
from vos_zoo.segmenter import Segmenter
from vos_zoo.system.values import entries


def ensemble(segmenters: Iterable[Segmenter], *, weights: Sequence[float] | None = None) -> Segmenter:
    """A Segmenter whose masks are decided by all the given ones: any architectures, each at its own size inside.

    In every frame the members' probabilities of each object are averaged before objects compete, and each member goes on from the
    average. It is used like any Segmenter: propagate, propagate_many, stream, start, finetune (all members), tta.

    Args:
        segmenters: its members; an ensemble among them brings its own members.
        weights: of each in the average, positive, in their order; default: all the same.

    Returns:
        A Segmenter: `members` are Segmenters of one model each, `weights` their shares.

    Raises:
        VosZooError: there is no member, one finds the objects itself (zero-shot), their devices differ, or weights don't fit.

    Example:
        >>> import vos_zoo
        >>> one = vos_zoo.load("crvos-resnet18", device="cpu", dtype="float32")
        >>> both = vos_zoo.ensemble([one, one], weights=[3, 1])
        >>> both.config.name, both.weights
        ('crvos-resnet18+crvos-resnet18', (0.75, 0.25))
    """
    if isinstance(segmenters, Segmenter):
        raise VosZooError("an ensemble is made of a list of Segmenters: ensemble([first, second])")
    given = entries(segmenters, "what an ensemble is made of, Segmenters,")
    if not given:
        raise VosZooError("an ensemble needs at least one Segmenter: ensemble([vos_zoo.load('crvos'), ...])")
    for each in given:
        if not isinstance(each, Segmenter):
            raise VosZooError(f"the members of an ensemble are Segmenters, as vos_zoo.load makes them, not {each!r:.80}")
    if finders := [each.config.name for each in given if each.finds_objects]:
        raise VosZooError(
            f"{', '.join(finders)} finds the objects itself, and its object 1 need not be another's: leave it out of the ensemble"
        )
    devices = [each.device for each in given]
    if len(set(devices)) > 1:
        raise VosZooError(f"the members lie on {', '.join(map(str, devices))}: load them all with the same device=")
    shares = _shares(weights, len(given))
    members = [member for each in given for member in each._members]
    within = [share * weight for each, share in zip(given, shares, strict=True) for weight in each.weights]
    config = given[0].config if len(members) == 1 else _joined([each.config for each in given])
    return Segmenter(members, config, weights=within)


def _joined(configs: Sequence[ModelConfig]) -> ModelConfig:
    """The config of an ensemble of these."""
    licences = sorted({config.licence for config in configs if config.licence})
    return ModelConfig(
        name="+".join(config.name for config in configs),
        architecture="Ensemble",
        licence=" / ".join(licences) or None,
        description=f"an ensemble of {len(configs)}",
    )


def _shares(weights: Sequence[float] | None, members: int) -> tuple[float, ...]:
    given = [1.0] * members if weights is None else entries(weights, "weights, positive numbers, one a member,")
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) and 0 < each < float("inf") for each in given)
    if len(given) != members or not numbers:
        raise VosZooError(f"weights are {members} positive numbers, one a member, not {weights!r:.80}")
    return tuple(each / sum(given) for each in given)
