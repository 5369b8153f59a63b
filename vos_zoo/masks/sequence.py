"""The result of a propagation: stored masks and their ways out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vos_zoo.masks.coco import save_coco
from vos_zoo.masks.detections import to_supervision
from vos_zoo.masks.display import Page, contact_sheet, drawn_frame, played
from vos_zoo.masks.export import save_cutouts, save_video
from vos_zoo.masks.folder import load_masks, save_folder, save_zip
from vos_zoo.masks.overlay import Style
from vos_zoo.masks.stored import StoredMasks
from vos_zoo.masks.tool_forms import save_as

if TYPE_CHECKING:
    from typing_extensions import Self

    from vos_zoo.videos.source import VideoSource


class MaskSequence(StoredMasks):
    """Masks of T frames with K objects: a sequence of (H, W) maps of ids, 0 = background.

    Masks are held as compressed run lengths, some kB a frame, and unpacked when read: `masks[i]` is a new
    array each time, uint8 if all ids are below 255, else int32. `numpy.asarray(masks)` is (T, H, W).
    `masks[a:b]` is a MaskSequence which shares the stored frames. Two sequences are equal if size, ids, masks
    and computed are.

    Args:
        size: (H, W) of the masks in pixels.
        object_ids: ids known from the start, also if they have no pixel; more may come with the masks.
        fps: frames a second, None if unknown.
        frame_names: names of the frames without suffix, under which `save` writes them.
        first_frame, frame_step: index in the video of the frame of mask 0, and from one mask to the next.
            Slices set them, and the savers go by them.

    Example:
        >>> import numpy as np, vos_zoo
        >>> masks = vos_zoo.MaskSequence((96, 160), fps=25)
        >>> labels = np.zeros((96, 160), np.uint8)
        >>> labels[20:40, 30:60] = 1
        >>> masks.append(labels, confidence={1: 0.9})
        >>> masks
        MaskSequence(1 frames, 160x96, ids 1, 25 fps)
        >>> masks[0].shape, masks.object_ids, int(masks.area[0, 0])
        ((96, 160), (1,), 600)
        >>> masks.save("my_masks")
        PosixPath('my_masks')
        >>> vos_zoo.MaskSequence.load("my_masks") == masks
        True
    """

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes one PNG a frame and sequence.json (ids, fps, confidence, lost) into a folder; returns its
        path.

        PNGs are indexed with the DAVIS palette, or 16-bit grey if an id is above 254 (255 means void in
        indexed ones). They are called like the frames, or 00000.png, 00001.png, ... by the frame's number in
        the video.

        Raises:
            SaveError: the folder exists (see `overwrite`: replaces a folder of masks, and nothing else), the
                disk is full, an id is above 65535, or there are no frames. Nothing half-written is left.
        """
        return save_folder(self, folder, overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote, or any folder of mask PNGs (in order of their names).

        Raises:
            MaskError: no such folder, no masks in it, a damaged file, or masks of different sizes.
        """
        return load_masks(cls, folder)

    def save_zip(self, path: str | os.PathLike[str]) -> Path:
        """Writes what `save` writes into one zip file; an older file at `path` is replaced."""
        return save_zip(self, path)

    def save_video(
        self,
        path: str | os.PathLike[str],
        video: VideoSource,
        *,
        style: Style = "overlay",
        fps: float | None = None,
        alpha: float = 0.5,
        audio: bool = True,
        colours: Mapping[int, str] | None = None,
    ) -> Path:
        """Draws the masks on their video, frame by frame in constant memory, and writes a video file.

        It plays as the video does: each frame at its own time, with the same pixel aspect ratio, colour tags and sound.

        Args:
            path: the file to write, e.g. out.mp4; an older one is replaced.
            video: the video that the masks were made from, in any form `open_video` takes.
            style: "overlay"; "side-by-side" (video left, overlay right); "mask" (palette colours on black); "cutout" (the objects on
                nothing: .webm is VP9 with alpha, .mov ProRes 4444 with alpha).
            fps: frames a second, constant; default: the video's own times, else the sequence's rate, else 25.
            alpha: opacity of the tint, 0..1.
            audio: whether the video's sound is copied; it is not encoded again.
            colours: of objects whose palette colour does not show on them in an overlay, as {1: "#2f9bff"}.

        Raises:
            MaskError: frames and masks differ in size, or colours can't be read.
            SaveError: the file can't be written.

        Warns:
            VosZooWarning: the video has fewer or more frames than there are masks, or sound that can't be kept.
        """
        return save_video(self, path, video, style=style, fps=fps, alpha=alpha, audio=audio, colours=colours)

    def save_cutouts(
        self,
        path: str | os.PathLike[str],
        video: VideoSource,
        ids: Iterable[int] | None = None,
        *,
        overwrite: bool = False,
    ) -> Path:
        """Writes one RGBA PNG a computed frame into a folder: the objects `ids` (default all), all else transparent."""
        return save_cutouts(self, path, video, ids, overwrite=overwrite)

    def save_coco(self, path: str | os.PathLike[str]) -> Path:
        """Writes a COCO JSON: an image a computed frame, and for each object seen in it an annotation with an RLE.

        The id is the annotation's `track_id`, its category is 1 ("object"), its confidence, if known, the
        `score`.
        """
        return save_coco(self, path)

    def save_as(self, path: str | os.PathLike[str], form: str, *, overwrite: bool = False) -> Path:
        """Writes the masks in the form of another tool; returns the path.

        Args:
            path: a file for "youtubevis" (COCO's video JSON), "mots-txt", "cvat" (for video 1.1) and "label-studio"; a folder for
                "mots" (16-bit PNGs), "yolo" (segmentation, a .txt a frame) and "labelme" (a .json a frame).
            form: one of these names.
            overwrite: replace an older folder that holds nothing else. A file is always replaced.

        Raises:
            SaveError: there is no such form, an id does not fit in it, there are no frames, or the path can't be written.

        Example:
            >>> masks.save_as("bear.json", "youtubevis")
        """
        return save_as(self, path, form, overwrite=overwrite)

    def show(self, index: int, video: VideoSource | None = None, *, alpha: float = 0.5) -> Image.Image:
        """Mask `index` as a PIL image, which a notebook shows: drawn on its frame, or alone in the palette's colours.

        Args:
            index: place in the sequence; negative ones count from the end.
            video: the video that the masks were made from, in any form `open_video` takes.
            alpha: opacity of the tint, 0..1.

        Raises:
            MaskError: there is no such mask, the video has no such frame, or is of another size.
        """
        return drawn_frame(self, index, video, alpha=alpha)

    def play(self, video: VideoSource, *, style: Style = "overlay") -> Page:
        """The masks drawn on their video, as a player in a notebook.

        The clip is held in the page, so keep it short: `masks[:100].play(video)`.

        Args:
            video: the video that the masks were made from, in any form `open_video` takes.
            style: as in `save_video`.
        """
        return played(self, video, style=style)

    def _repr_html_(self) -> str:
        return contact_sheet(self)

    def to_supervision(self, index: int) -> Any:
        """The objects seen in frame `index` as `supervision.Detections` (boxes, masks, ids as tracker_id).

        Raises:
            VosZooError: supervision is not installed.
        """
        return to_supervision(self, index)
