"""The clips of a benchmark as tasks: LAYOUT:ROOT, as in "mose:/data/MOSE". Each object is given by the first mask that shows it."""

from __future__ import annotations

from pathlib import Path

from vos_zoo.datasets.layouts import ClipFolders
from vos_zoo.datasets.named import FINDERS, named
from vos_zoo.errors import DataError, VosZooError
from vos_zoo.jobs.task import Found, Task
from vos_zoo.system.file_order import in_order

_NOT_HERE = {"davis2016": "davis2017", "folder-unsupervised": "folder", "davis2017-unsupervised": "davis2017"}


def benchmark_tasks(spec: str, subset: str) -> Found | None:
    """The clips of a benchmark; None if `spec` is not LAYOUT:ROOT.

    Args:
        spec: as `vos_zoo.datasets.named.named` takes it.
        subset: "val", "test-dev", "valid" ...

    Raises:
        VosZooError: there is no such folder, or no clips of that layout in it.
    """
    known = named(spec)
    if known is None:
        return None
    layout, root = known
    if layout in _NOT_HERE:
        raise VosZooError(f"{layout} is a way to score: to propagate, take {_NOT_HERE[layout]}:{root}")
    if not root.is_dir():
        raise VosZooError(f"{spec}: there is no folder {root}")
    try:
        clips = FINDERS[layout](root, subset)
    except DataError as error:
        raise VosZooError(str(error)) from error
    return Found("benchmark", [_task(clip, first_only=layout.startswith("davis")) for clip in clips])


def _task(clip: ClipFolders, *, first_only: bool) -> Task:
    """first_only: the objects are those of the first mask, as in DAVIS, whatever ids come later."""
    masks = in_order(path for path in clip.masks.glob("*.png") if not path.name.startswith(".")) if clip.masks.is_dir() else []
    if first_only and masks:
        return Task(clip.name, Path(clip.frames), mask=masks[0])
    return Task(clip.name, Path(clip.frames), first_of=clip.masks)
