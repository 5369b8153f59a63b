"""The forms in which masks are saved, each a file or folder of its own name: what --save of the command line names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.masks import tool_forms
from vos_zoo.masks.export import check_video

if TYPE_CHECKING:
    from vos_zoo.masks.overlay import Style
    from vos_zoo.masks.sequence import MaskSequence
    from vos_zoo.videos.source import VideoSource
    from vos_zoo.videos.video import Video

FILES = {  # form -> its file or folder
    "masks": "masks",
    "overlay": "overlay.mp4",
    "side-by-side": "side-by-side.mp4",
    "mask-video": "masks.mp4",
    "cutouts": "cutouts",
    "cutout-webm": "cutout.webm",
    "cutout-mov": "cutout.mov",
    "zip": "masks.zip",
    "coco": "masks.json",
    **tool_forms.FILES,
}
_STYLES: Mapping[str, Style] = {
    "overlay": "overlay",
    "side-by-side": "side-by-side",
    "mask-video": "mask",
    "cutout-webm": "cutout",
    "cutout-mov": "cutout",
}
WITHOUT_VIDEO = {"masks", "zip", "coco", *tool_forms.FILES}  # the others read the video again


def chosen_forms(text: str) -> list[str]:
    """The forms of "masks,overlay", each once. VosZooError names one that there is not."""
    forms = list(dict.fromkeys(form.strip() for form in text.split(",") if form.strip()))
    unknown = [form for form in forms if form not in FILES]
    if unknown or not forms:
        raise VosZooError(f"--save does not know {', '.join(map(repr, unknown)) or 'what to write'}: choose from {', '.join(FILES)}")
    return forms


def check_forms(forms: Iterable[str], video: Video) -> None:
    """Raises SaveError if one of the forms can't be written for frames of this size or rate: to be asked before the masks are made."""
    for form in forms:
        if form in _STYLES:
            try:
                check_video(FILES[form], video, style=_STYLES[form])
            except SaveError as error:
                raise SaveError(f"--save {form}: {error}") from None


def save_form(
    form: str,
    masks: MaskSequence,
    video: VideoSource,
    folder: Path,
    *,
    overwrite: bool = False,
    colours: Mapping[int, str] | None = None,
) -> Path:
    """Writes one form into a folder and returns its path.

    Args:
        video: that of the masks, as `open_video` takes it.
        overwrite: replace an older folder of that form.
        colours: of objects in an overlay, as for `MaskSequence.save_video`.

    Raises:
        SaveError: it can't be written.
    """
    path = folder / FILES[form]
    save: dict[str, Callable[[Path], object]] = {
        "masks": partial(masks.save, overwrite=overwrite),
        **{form: partial(masks.save_video, video=video, style=style, colours=colours) for form, style in _STYLES.items()},
        "cutouts": lambda path: masks.save_cutouts(path, video, overwrite=overwrite),
        "zip": masks.save_zip,
        "coco": masks.save_coco,
        **{form: partial(masks.save_as, form=form, overwrite=overwrite) for form in tool_forms.FILES},
    }
    save[form](path)
    return path
