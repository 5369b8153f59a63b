"""The zip of masks that a benchmark's server takes, checked before it is written.

davis2017   <sequence>/<frame>.png, the sequences directly in the zip; each frame of each sequence; ids of the first mask
mose        the same
lvos        Annotations/<clip>/<frame>.png, each frame
youtubevos  Annotations/<video>/<frame>.png, the frames that meta.json names
sav         <video>/<object>/<frame>.png, black and white, a folder an object: what sav_evaluator.py reads

All are indexed PNGs of the frames' size. Sources: the scoring programs of DAVIS and LVOS ("the folders of the sequences have to be placed
directly inside the zip ... an indexed PNG file for every frame ... the indexes have to match with the initial frame"), of MOSE 2 and of
SA-V. For LVOS the folder Annotations is what published results were submitted in; its repository has a copy of the DAVIS program only.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vos_zoo.errors import EvaluationError, MaskError, VosZooError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.presence import ids_in_file
from vos_zoo.masks.palette import davis_palette
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.whole_pictures import whole_pictures
from vos_zoo.videos.video import open_video

MOST_LINES = 20  # of problems that are told
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of all members, so that the same masks give the same file


@dataclass(frozen=True)
class Server:
    """How a server wants the masks."""

    folder: str = ""  # in the zip, above the clips'
    per_object: bool = False


SERVERS = {  # layout -> its server's rules
    "davis2017": Server(),
    "davis2017-full": Server(),
    "folder": Server(),
    "mose": Server(),
    "lvos": Server("Annotations"),
    "youtubevos": Server("Annotations"),
    "sav": Server(per_object=True),
}


def check_submission(path: str | os.PathLike[str], layout: str, clips: Sequence[Clip], *, whole: bool = True) -> None:
    """Raises what can be known before any mask is made.

    Args:
        path: where the zip is to go.
        layout: of the data set.
        clips: all clips of the set.
        whole: whether these are all.

    Raises:
        EvaluationError: no server takes masks of this layout, or clips are missing.
    """
    if layout not in SERVERS:
        raise EvaluationError(f"there is no server that takes masks of layout {layout!r}: --submission is for {', '.join(SERVERS)}")
    if not whole:
        raise EvaluationError("a server wants every clip of the set: leave --only out, or --submission")
    if Path(path).suffix.lower() != ".zip":
        raise EvaluationError(f"--submission {path}: servers take a .zip; give it that suffix")


def write_submission(path: str | os.PathLike[str], layout: str, clips: Sequence[Clip], mask_of: Callable[[Clip, str], Path]) -> Path:
    """Writes the zip, after every mask was found to be as the server wants it.

    Frames before the first object begins get an empty mask. Grey PNGs are made indexed; nothing else is changed.

    Args:
        path: the zip; a file that is there is replaced.
        layout: of the data set: which server.
        clips: all clips of the set.
        mask_of: where the mask of a clip's frame lies, by the frame's name.

    Returns:
        The path.

    Raises:
        EvaluationError: names what is missing or wrong; nothing is written then.
        SaveError: it can't be written.
    """
    check_submission(path, layout, clips)
    problems = [line for clip in clips for line in _problems(clip, mask_of)]
    if problems:
        more = f"\n  and {len(problems) - MOST_LINES} more" if len(problems) > MOST_LINES else ""
        listed = "\n".join(f"  {line}" for line in problems[:MOST_LINES])
        raise EvaluationError(f"these masks would be refused, so no {path} was written:\n{listed}{more}")
    server = SERVERS[layout]
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for clip in clips:
            for name, data in _files(clip, server, mask_of):
                archive.writestr(zipfile.ZipInfo("/".join(part for part in (server.folder, clip.name, name) if part), _EPOCH), data)
    return Path(path)


def _frames(clip: Clip) -> Sequence[str]:
    return clip.submitted or clip.frame_names or ()


def _before_all(clip: Clip, frame: str) -> bool:
    """Whether no object has begun by then, so that there is no mask."""
    return clip.frame_names is not None and clip.frame_names.index(frame) < min(clip.objects().values())


def _problems(clip: Clip, mask_of: Callable[[Clip, str], Path]) -> Iterator[str]:
    with open_video(clip.video) as video:
        size = video.width, video.height
    unknown = [frame for frame in _frames(clip) if frame not in (clip.frame_names or ())]
    if unknown:
        yield f"{clip.name}: the server scores frame {unknown[0]}, which {clip.video} does not have"
        return
    missing = [frame for frame in _frames(clip) if not mask_of(clip, frame).is_file() and not _before_all(clip, frame)]
    if missing:
        yield f"{clip.name}: no mask of {len(missing)} of {len(_frames(clip))} frames, the first {mask_of(clip, missing[0])}"
    ids = set(clip.objects())
    for frame in _frames(clip):
        path = mask_of(clip, frame)
        if not path.is_file():
            continue
        try:
            extra = [k for k in ids_in_file(path) if k not in ids]
            with Image.open(path) as image:
                found = image.size
        except (VosZooError, OSError) as error:
            yield f"{clip.name}: {error}"
            continue
        if found != size:
            yield f"{clip.name}: {path} is {found[0]}x{found[1]}, the frames {size[0]}x{size[1]}"
        if extra:
            yield f"{clip.name}: {path} has the id {extra[0]}, but the given masks have {', '.join(map(str, sorted(ids)[:8]))}"


def _files(clip: Clip, server: Server, mask_of: Callable[[Clip, str], Path]) -> Iterator[tuple[str, bytes]]:
    """Names below the clip's folder, and what is in them."""
    for frame in _frames(clip):
        path = mask_of(clip, frame)
        if not server.per_object:
            yield f"{frame}.png", _indexed(path, clip)
            continue
        labels = _labels(path, clip)
        for k, begin in clip.objects().items():
            if clip.frame_names is None or clip.frame_names.index(frame) >= begin:
                yield f"{k - 1:03d}/{frame}.png", _png(Image.fromarray(labels == k))


def _indexed(path: Path, clip: Clip) -> bytes:
    if path.is_file():
        with Image.open(path) as image:
            if image.mode == "P":
                return path.read_bytes()
    labels = _labels(path, clip)
    if labels.max(initial=0) > 255:
        raise MaskError(f"{path} has the id {labels.max()}, and an indexed PNG holds ids up to 255: give the objects smaller ids")
    indexed = Image.fromarray(labels.astype(np.uint8))
    indexed.putpalette(davis_palette().tobytes())
    return _png(indexed)


@whole_pictures()
def _labels(path: Path, clip: Clip) -> np.ndarray:
    if not path.is_file():
        with open_video(clip.video) as video:
            return np.zeros((video.height, video.width), np.uint8)
    with Image.open(path) as image:
        return np.asarray(image)


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()
