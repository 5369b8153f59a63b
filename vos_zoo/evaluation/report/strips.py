"""A strip of a video's frames with masks drawn on them, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from vos_zoo.evaluation.clip import Clip
from vos_zoo.masks.overlay import draw_overlay
from vos_zoo.videos.video import open_video

WIDTH = 320  # of a picture, pixels
FRAMES = 6


def chosen_frames(clip: Clip, count: int = FRAMES) -> list[int]:
    """Frames that are scored, evenly spread, the first and the last among them."""
    scored = clip.scored
    return [scored[int(n)] for n in np.unique(np.linspace(0, len(scored) - 1, min(count, len(scored))).round())]


def strip(clip: Clip, frames: Sequence[int], layers: Sequence[Callable[[int], np.ndarray | None]]) -> list[list[str]]:
    """For each layer a row of pictures, one a frame: the frame with the labels that layer(index) gives, alone where it gives None."""
    rows: list[list[str]] = [[] for _ in layers]
    wanted = set(frames)
    with open_video(clip.video) as video:
        for index, frame in enumerate(video.read(0, max(frames) + 1)):
            if index not in wanted:
                continue
            for row, layer in zip(rows, layers, strict=True):
                labels = layer(index)
                row.append(picture(frame if labels is None else draw_overlay(frame, labels, alpha=0.55)))
    return rows


def picture(frame: np.ndarray) -> str:
    """A data URI of a frame (H, W, 3) uint8, made small."""
    image = Image.fromarray(frame)
    if image.width > WIDTH:
        image = image.resize((WIDTH, max(1, round(image.height * WIDTH / image.width))), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
