"""Every error that a user can cause. Each message says what was wrong and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VosZooError(Exception):
    """Base class: `except VosZooError` catches all that this library raises on purpose.

    Example:
        >>> import vos_zoo
        >>> try:
        ...     vos_zoo.load("crvos").propagate("gone.mp4", "first_mask.png")
        ... except vos_zoo.VosZooError as error:
        ...     print(error)
        there is no file or folder 'gone.mp4'...
    """


class VideoError(VosZooError, ValueError):
    """The video can't be opened or read as asked.

    Example:
        >>> import vos_zoo
        >>> try:
        ...     vos_zoo.open_video("gone.mp4")
        ... except vos_zoo.VideoError as error:
        ...     print(error)
        there is no file or folder 'gone.mp4'...
    """


class MaskError(VosZooError, ValueError):
    """A mask can't be read, is empty, or does not fit the video.

    Example:
        >>> import vos_zoo
        >>> try:
        ...     vos_zoo.read_mask([[0, 0, 0], [0, 0, 0]])
        ... except vos_zoo.MaskError as error:
        ...     print(error)
        mask...
    """


class PromptError(VosZooError, ValueError):
    """Points, boxes or scribbles do not say which object is meant, or lie outside the picture.

    Example:
        >>> import vos_zoo
        >>> try:
        ...     vos_zoo.load("crvos").propagate("video.mp4", points=[(5000, 20)])
        ... except vos_zoo.PromptError as error:
        ...     print(error)
        the point (5000, 20) of object 1 lies outside the picture, which is 160x96...
    """


class CheckpointError(VosZooError, ValueError):
    """Weights or their config are corrupt, incomplete, or of another model.

    Example:
        >>> import vos_zoo
        >>> try:
        ...     vos_zoo.load("crvos", backgroud="prod")
        ... except vos_zoo.CheckpointError as error:
        ...     print(error)
        'backgroud' is an argument neither of load() nor of CRVOS. Did you mean 'background'?...
    """


class ModelNotFoundError(VosZooError, LookupError):
    """No model of that name, folder or repository.

    Example:
        >>> import vos_zoo
        >>> try:
        ...     vos_zoo.load("crvso")
        ... except vos_zoo.ModelNotFoundError as error:
        ...     print(error)
        no model is called 'crvso'. Did you mean 'crvos'...
    """


class SaveError(VosZooError, OSError):
    """Results could not be written; nothing half-written was left.

    Example:
        >>> import vos_zoo
        >>> masks = vos_zoo.MaskSequence((96, 160))
        >>> try:
        ...     masks.save("empty")
        ... except vos_zoo.SaveError as error:
        ...     print(error)
        nothing to save to empty: the sequence has no frames yet
    """


class PublishError(VosZooError):
    """Nothing was published on the Hub, or not as asked; the message says what lies there now.

    Example:
        >>> import vos_zoo
        >>> segmenter = vos_zoo.create("crvos-resnet18")
        >>> try:
        ...     segmenter.push_to_hub("not a name")
        ... except vos_zoo.VosZooError as error:
        ...     print(type(error).__name__)
        PublishError
    """


class EvaluationError(VosZooError, ValueError):
    """Results or ground truth can't be scored as they are."""


class DataError(VosZooError, ValueError):
    """Training data can't be used as it is."""


class VosZooWarning(UserWarning):
    """Something went on, but not quite as asked.

    Example:
        >>> import warnings, vos_zoo
        >>> warnings.simplefilter("error", vos_zoo.VosZooWarning)  # treat it as an error
        >>> warnings.simplefilter("default", vos_zoo.VosZooWarning)  # or tell of it once
    """


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The sentence "Did you mean 'crvos'?" after a blank where a candidate is close, else an empty string."""
    by_lower = {each.lower(): each for each in candidates}
    close = difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(by_lower[each]) for each in close)}?" if close else ""
