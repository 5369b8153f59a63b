"""Where each object of a clip is first seen: which ids a mask file holds, without making arrays of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.system.whole_pictures import whole_pictures

_VOID = 255


def first_seen(masks: Mapping[int, Any], *, wide: bool = False) -> dict[int, int]:
    """Object id -> the index of the first frame whose mask shows it, by id.

    Args:
        masks: frame index -> the file of its ids, or {object id: the file of where it is}.
        wide: 255 is an id, not void.

    Raises:
        MaskError: a file can't be read, or holds no ids.
    """
    found: dict[int, int] = {}
    for index in sorted(masks):
        source = masks[index]
        if isinstance(source, Mapping):
            here = [k for k, path in source.items() if k not in found and ids_in_file(path)]
        else:
            here = [k for k in ids_in_file(source) if k not in found and (wide or k != _VOID)]
        found.update(dict.fromkeys(here, index))
    return dict(sorted(found.items()))


@whole_pictures()
def ids_in_file(path: Path) -> list[int]:
    """The values of a mask file other than 0, ascending.

    Raises:
        MaskError: it can't be read, or is a picture in colour.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "1":
                return [1] * bool(image.getbbox())
            if image.mode in ("P", "L"):
                return [value for value, count in enumerate(image.histogram()) if count and value]
            if image.mode.startswith("I"):
                return [int(value) for value in np.unique(np.asarray(image)) if value]
            mode = image.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise MaskError(f"{path} can't be read as a mask ({error})") from error
    raise MaskError(f"{path} is a picture in {mode}, from which ids can't be told; save it as an indexed (mode P) PNG")
