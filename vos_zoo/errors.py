"""Every error that a user can cause. Each message says what was wrong and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VosZooError(Exception):
    """Base class: `except VosZooError` catches all that this library raises on purpose."""


class VideoError(VosZooError, ValueError):
    """The video can't be opened or read as asked."""


class MaskError(VosZooError, ValueError):
    """A mask can't be read, is empty, or does not fit the video."""


class PromptError(VosZooError, ValueError):
    """Points, boxes or scribbles do not say which object is meant, or lie outside the picture."""


class CheckpointError(VosZooError, ValueError):
    """Weights or their config are corrupt, incomplete, or of another model."""


class ModelNotFoundError(VosZooError, LookupError):
    """No model of that name, folder or repository."""


class SaveError(VosZooError, OSError):
    """Results could not be written; nothing half-written was left."""


class PublishError(VosZooError):
    """Nothing was published on the Hub, or not as asked; the message says what lies there now."""


class EvaluationError(VosZooError, ValueError):
    """Results or ground truth can't be scored as they are."""


class DataError(VosZooError, ValueError):
    """Training data can't be used as it is."""


class VosZooWarning(UserWarning):
    """Something went on, but not quite as asked."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The sentence "Did you mean 'crvos'?" after a blank where a candidate is close, else an empty string."""
    by_lower = {each.lower(): each for each in candidates}
    close = difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(by_lower[each]) for each in close)}?" if close else ""
