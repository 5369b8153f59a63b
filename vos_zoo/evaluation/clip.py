"""A video with true masks: which objects it has, where each is given, and which of its frames are scored.

The rules of davis2017-evaluation. Semi-supervised: an object is given in its first annotated frame; that one and the last
annotated one are not scored. Unsupervised: nothing is given and every annotated frame is scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vos_zoo.errors import EvaluationError
from vos_zoo.masks.beginnings import smaller_on_top
from vos_zoo.masks.palette import davis_palette
from vos_zoo.masks.read import read_mask
from vos_zoo.system.upright import upright
from vos_zoo.system.whole_pictures import whole_pictures

if TYPE_CHECKING:
    from vos_zoo.masks.source import MaskLike

VOID = 255
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Clip:
    """A video and its true masks on some or all of its frames."""

    name: str
    video: Any  # whatever open_video takes
    masks: Mapping[int, Any]  # frame index -> whatever read_mask takes, most often a path
    frame_names: tuple[str, ...] | None = None  # stems of the frames' files, by which saved results are found
    merged: bool = False  # all objects are one, id 1, as in DAVIS-2016
    unsupervised: bool = False  # the objects have to be found; void pixels are left out of the score
    indices: bool = False  # mask files hold ids as they stand, 255 void, as DAVIS and YouTube-VOS do; else read_mask interprets them
    numbered: bool = False  # the objects are 1 to the largest id of the first mask, as the official tool takes them
    starts: Mapping[int, int] | None = None  # object id -> frame in which it is given; None: all in the first annotated one
    seen: Mapping[int, bool] | None = None  # object id -> whether its category was trained on (YouTube-VOS)
    wide: bool = False  # ids go beyond 255, so that 255 is one of them (VIPSeg)
    submitted: tuple[str, ...] | None = None  # names of the frames that a server scores; None: all

    def __post_init__(self) -> None:
        if not self.masks:
            raise EvaluationError(f"clip {self.name!r} has no true mask; give that of its first frame at least")

    @property
    def annotated(self) -> list[int]:
        """The frames that have a true mask, ascending."""
        return sorted(self.masks)

    def later(self, count: int) -> list[int]:
        """Up to `count` annotated frames after the first, evenly. EvaluationError if only one frame is annotated."""
        found = self.annotated[1:]
        if not found:
            raise EvaluationError(f"{self.name} has a mask on one frame only; probing needs one to compare with")
        return found[:: -(-len(found) // count)]

    @property
    def first(self) -> int:
        """The first frame that has a true mask."""
        return min(self.masks)

    @property
    def withheld(self) -> bool:
        """Whether the truth is kept back, as in test sets: there are masks only where objects begin, so nothing can be scored."""
        return not self.unsupervised and set(self.annotated) <= set(self.objects().values())

    @property
    def scored(self) -> list[int]:
        """The frames that are scored, at least for some object."""
        return self.annotated if self.unsupervised else self.annotated[1:-1]

    def objects(self) -> dict[int, int]:
        """Object id -> the frame in which it is given, by id. EvaluationError if there is none."""
        if self.starts is not None:
            return dict(sorted(self.starts.items()))
        ids = [k for k in ids_in(self.truth(self.first)) if k]
        if not ids:
            raise EvaluationError(f"clip {self.name!r} has no object in its first true mask, frame {self.first}")
        return dict.fromkeys(range(1, ids[-1] + 1) if self.numbered else ids, self.first)

    def given(self) -> dict[int, Any]:
        """Frame index -> what a model is told there: all labels (H, W), or {id: (H, W) bool} of the objects that begin there."""
        if self.unsupervised:
            return {}
        if self.starts is None:
            return {self.first: self.truth(self.first)}
        found: dict[int, dict[int, Any]] = {}
        for k, frame in self.objects().items():
            mask = self.truth_of(frame, k)
            if not mask.any():
                raise EvaluationError(
                    f"clip {self.name!r}: object {k} begins in frame {self.frame_name(frame)}, but {self._source(frame)} shows nothing of "
                    "it; correct meta.json or the mask"
                )
            found.setdefault(frame, {})[k] = mask
        return {frame: smaller_on_top(objects) for frame, objects in found.items()}

    def truth(self, index: int) -> Labels:
        """True labels (H, W) of an annotated frame: 0 background, void already made background.

        Raises:
            EvaluationError: if that frame has no true mask.
            MaskError: if the mask can't be read.
        """
        return self.truth_and_void(index)[0]

    def truth_of(self, index: int, object_id: int) -> NDArray[np.bool_]:
        """Where an object is in an annotated frame, (H, W). Objects that have a file each, as in SA-V, may overlap. Raises as `truth`."""
        source = self.masks.get(index)
        if not isinstance(source, Mapping):
            return self.truth(index) == object_id
        alone = {object_id: source[object_id]} if object_id in source else source
        return self.read(alone, name=f"true mask of {self.name!r}, frame {index}") == (object_id if object_id in source else -1)

    def annotates(self, index: int, object_id: int) -> bool:
        """Whether the true mask of a frame tells where an object is: not where the others alone have a file."""
        source = self.masks[index]
        return not isinstance(source, Mapping) or object_id in source

    def truth_and_void(self, index: int) -> tuple[Labels, NDArray[np.bool_]]:
        """`truth`, and the void pixels (H, W) bool: none where objects are merged, or where read_mask interprets the file."""
        if index not in self.masks:
            raise EvaluationError(f"clip {self.name!r} has no true mask for frame {index}; see Clip.annotated")
        labels = self.read(self.masks[index], name=f"true mask of {self.name!r}, frame {index}")
        void = (labels == VOID) & (self.indices and not self.merged and not self.wide)
        return np.where(void, 0, labels), void

    def read(self, source: MaskLike, name: str) -> Labels:
        """A mask, true or predicted, as labels (H, W) of this clip; where objects are merged, 255 is one too.

        Integer arrays are ids as they stand, and so are files where the clip says so (`indices`): void is still 255 then.
        Everything else is what `read_mask` makes of it. Raises: MaskError if it can't be read, EvaluationError if a file in colour
        should hold ids.
        """
        as_it_stands = source if isinstance(source, np.ndarray) and source.dtype.kind in "iu" else None
        labels = self._read_file(source, name) if as_it_stands is None else as_it_stands.astype(np.int32)
        return (labels != 0).astype(np.int32) if self.merged else labels

    def frame_name(self, index: int) -> str:
        """The stem under which the mask of that frame is saved."""
        return self.frame_names[index] if self.frame_names else f"{index:05d}"

    def digest(self) -> str:
        """Changes when the true masks, the names of the frames, or what is done with them do."""
        state = hashlib.sha256(repr((self.name, self.frame_names, self.merged, self.unsupervised, self.starts, self.seen)).encode())
        for index in self.annotated:
            source = self.masks[index]
            state.update(f"{index} ".encode())
            state.update(Path(source).read_bytes() if isinstance(source, (str, Path)) else self.truth(index).tobytes())
        return state.hexdigest()[:16]

    def _read_file(self, source: MaskLike, name: str) -> Labels:
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".png":
            values = self._plain_ids(Path(source))
            if values is not None:
                return values
        return read_mask(source, allow_empty=True, name=name).labels

    @whole_pictures()
    def _plain_ids(self, path: Path) -> Labels | None:
        """The values of a file that says clearly what they are: an indexed one in DAVIS's colours, or where they are ids by rule."""
        try:
            with Image.open(path) as image:
                if not (image.mode == "P" or (self.indices and image.mode in ("L", "1", "I;16"))):
                    if self.indices and image.mode in ("RGB", "RGBA", "LA"):
                        raise EvaluationError(
                            f"{path} is a picture in {image.mode}, from which ids can't be told; save it as an indexed (mode P) PNG"
                        )
                    return None
                values = np.asarray(upright(image)).astype(np.int32)
                palette = image.getpalette("RGB") or []
        except (OSError, SyntaxError):
            return None  # read_mask says what is wrong
        if self.indices or self.merged:
            return values
        present = ids_in(values)
        colours = np.array(palette, np.int32).reshape(-1, 3)
        if present[-1] >= len(colours) or np.abs(colours[present] - davis_palette()[present]).max() > 1:
            return None
        return np.where(values == VOID, 0, values)

    def _source(self, index: int) -> str:
        source = self.masks[index]
        return str(source) if isinstance(source, (str, Path)) else f"its mask of frame {index}"


def ids_in(labels: NDArray[Any]) -> list[int]:
    """The values of a map of ids, ascending, 0 included."""
    few = labels.min() >= 0 and labels.max() <= 65535
    found: list[int] = (np.flatnonzero(np.bincount(labels.reshape(-1))) if few else np.unique(labels)).tolist()
    return found
