"""Masks in a notebook: a contact sheet, one frame drawn, the clip played."""

from __future__ import annotations

import base64
import html
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.export import save_video
from vos_zoo.masks.overlay import Style, draw_mask, draw_overlay
from vos_zoo.masks.stored import StoredMasks
from vos_zoo.masks.values import whole
from vos_zoo.videos.video import open_video

if TYPE_CHECKING:
    from vos_zoo.videos.source import VideoSource

_PICTURES = 12  # of a contact sheet
_WIDTH = 160  # pixels of each


class Page:
    """A piece of HTML that a notebook shows: `text` is the HTML."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        return self.text


def contact_sheet(masks: StoredMasks) -> str:
    """HTML with up to twelve computed frames, evenly spread, in the palette's colours, and what `repr` says."""
    computed = np.flatnonzero(masks.computed)
    places = np.linspace(0, len(computed) - 1, min(_PICTURES, len(computed))).round().astype(int)
    chosen = computed[np.unique(places)]
    height, width = masks.size
    scale = min(1.0, _WIDTH / width, 4 * _WIDTH / height)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    pictures = []
    for i in chosen:
        picture = Image.fromarray(draw_mask(masks[int(i)])).resize(shape, Image.Resampling.BOX)
        number = masks.frame_indices[int(i)]
        pictures.append(
            f'<figure style="display:inline-block;margin:2px;text-align:center"><img alt="masks of frame {number}" width="{shape[0]}" '
            f'height="{shape[1]}" src="data:image/png;base64,{_png(picture)}"><figcaption>{number}</figcaption></figure>'
        )
    return f"<div><code>{html.escape(repr(masks))}</code><br>{''.join(pictures)}</div>"


def drawn_frame(masks: StoredMasks, index: int, video: VideoSource | None = None, *, alpha: float = 0.5) -> Image.Image:
    """See `MaskSequence.show`."""
    place = whole(index, "the frame to show", -len(masks), len(masks) - 1) % len(masks) if len(masks) else None
    if place is None:
        raise MaskError("there is nothing to show: the sequence has no frames yet")
    if video is None:
        return Image.fromarray(draw_mask(masks[place]))
    number = masks.frame_indices[place]
    opened = open_video(video)
    try:
        for n, frame in enumerate(opened):
            if n == number:
                lost = [k for k, gone in zip(masks.object_ids, masks.lost[place].tolist(), strict=True) if gone]
                return Image.fromarray(draw_overlay(frame, masks[place], alpha=alpha, lost=lost))
    finally:
        if opened is not video:
            opened.close()
    raise MaskError(f"the video {opened.name} has no frame {number}: give the video that the masks were made from")


def played(masks: StoredMasks, video: VideoSource, *, style: Style = "overlay") -> Page:
    """See `MaskSequence.play`."""
    with tempfile.TemporaryDirectory() as folder:
        path = save_video(masks, Path(folder) / "clip.mp4", video, style=style)
        data = base64.b64encode(path.read_bytes()).decode()
    return Page(f'<video controls loop muted style="max-width:100%" src="data:video/mp4;base64,{data}"></video>')


def _png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
