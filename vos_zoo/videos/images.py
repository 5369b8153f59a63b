"""One image, whatever it came as, as an RGB frame: paths, PIL images, arrays, tensors."""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.limits import check_picture
from vos_zoo.system.whole_pictures import whole_pictures
from vos_zoo.videos.depths import bits_stored, bits_told, deep_values, to_8_bits

if TYPE_CHECKING:
    from vos_zoo.videos.source import FrameLike

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_EXIF_ORIENTATION = 0x0112
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, ArithmeticError,
               struct.error, MemoryError, Image.DecompressionBombError)  # fmt: skip


@whole_pictures()
def read_frame(item: FrameLike, label: str, *, bits: int | None = None) -> np.ndarray:
    """The frame (H, W, 3) uint8 RGB of a path, a PIL image, or an (H, W, 3) uint8 array or tensor.

    Images are turned as their EXIF orientation says; grey, palette and CMYK become RGB, alpha is dropped, values of more than 8 bits
    are scaled down. Arrays are copied: some generators fill one buffer over and over.

    Args:
        item: what is to be read.
        label: names the frame in errors, as in "frame 3".
        bits: that the values of an image of 9 to 16 bits are of; default: what its tags say, else 16.

    Raises:
        VideoError: for anything else, with what to do about it.
    """
    if isinstance(item, (str, os.PathLike)):
        try:
            with Image.open(item) as image:
                check_picture(image.height, image.width, label, VideoError)
                return to_rgb(image, label, bits=bits)
        except UNREADABLE as error:
            raise unreadable(item, label, error) from error
    if isinstance(item, Image.Image):
        return to_rgb(item, label, bits=bits)
    check_pixels(item, label)
    return np.array(to_numpy(item), order="C")


def frame_size(item: FrameLike, label: str) -> tuple[int, int]:
    """(height, width) of what `read_frame` would return; reads no more than an image's header."""
    if isinstance(item, (str, os.PathLike)):
        if not Path(item).is_file():
            raise VideoError(f"{label}: there is no file {os.fspath(item)!r}: check the path")
        try:
            with Image.open(item) as image:
                check_picture(image.height, image.width, label, VideoError)
                if (pages := page_count(image)) > 1:
                    raise VideoError(
                        f"{label} has {pages} pages, and a frame is one: give that file alone as the video, or split it into files"
                    )
                return _upright_size(image)
        except UNREADABLE as error:
            raise unreadable(item, label, error) from error
    if isinstance(item, Image.Image):
        return _upright_size(item)
    check_pixels(item, label)
    return int(item.shape[0]), int(item.shape[1])


def page_count(image: Image.Image) -> int:
    """Pages of a TIFF, pictures of an animated WebP or PNG; 1 for all else, also for the pair of photos that some cameras write."""
    return int(getattr(image, "n_frames", 1)) if image.format in ("TIFF", "WEBP", "PNG") else 1


def to_numpy(item: object) -> np.ndarray:
    """An array or tensor, of any device, as a numpy array."""
    if not hasattr(item, "detach"):
        return np.asarray(item)
    try:
        return np.asarray(item.detach().cpu())
    except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, quantized, or without values
        kind = f"{getattr(item, 'dtype', '')} on {getattr(item, 'device', '')}"
        raise VideoError(f"a tensor of {kind} can't be read as frames: {str(error)[:80]}") from error


def check_pixels(item: object, label: str, *, frames: bool = False) -> None:
    """Raises VideoError unless `item` is uint8 of shape (H, W, 3), or (T, H, W, 3) where `frames`."""
    if not (hasattr(item, "shape") and hasattr(item, "dtype")):
        raise VideoError(f"{label} is a {type(item).__name__}: give (H, W, 3) uint8 arrays, PIL images or paths of images")
    shape = tuple(int(n) for n in item.shape)
    _check_shape(shape, label, frames=frames, tensor=hasattr(item, "detach"))
    _check_type(item, label)


def _check_shape(shape: tuple[int, ...], label: str, *, frames: bool, tensor: bool) -> None:
    axes = "(T, H, W, 3)" if frames else "(H, W, 3)"
    lead = 1 if frames else 0
    found = f"{label} has shape {shape}, but {axes} is needed"
    if len(shape) == lead + 3 and shape[-1] != 3 and shape[lead] == 3:
        order = "0, 2, 3, 1" if frames else "1, 2, 0"
        raise VideoError(f"{found}: channels come last, use .{'permute' if tensor else 'transpose'}({order})")
    if len(shape) == lead + 3 and shape[-1] == 4:
        raise VideoError(f"{found}: drop the alpha channel with [..., :3]")
    if len(shape) == lead + 3 and shape[-1] == 1:
        raise VideoError(f"{found}: repeat the grey channel with np.repeat(frames, 3, axis=-1)")
    if frames and len(shape) == 3 and shape[-1] == 3:
        raise VideoError(f"{found}: this is one frame, a video of one frame is frame[None]")
    if len(shape) == lead + 2:
        raise VideoError(f"{found}: make grey frames RGB with np.repeat(frames[..., None], 3, axis=-1)")
    if not frames and len(shape) == 4:
        raise VideoError(f"{found}: give the items one by one, or the whole as one (T, H, W, 3) array")
    if len(shape) != lead + 3 or shape[-1] != 3:
        raise VideoError(f"{found}: RGB frames, channels last")
    if 0 in shape:
        raise VideoError(f"{label} has shape {shape}: there are no pixels in it, check how it was made")


def _check_type(item: Any, label: str) -> None:
    kind = str(item.dtype).removeprefix("torch.")
    if kind == "uint8":
        return
    found = f"{label} is {kind}, but uint8 values 0 to 255 are needed"
    if "float" in kind or "complex" in kind:
        values = to_numpy(item.float() if hasattr(item, "detach") else item)
        if np.isnan(values).any():
            raise VideoError(f"{found}, and it holds NaN: find where they come from, then convert to uint8")
        if values.max() <= 1:
            raise VideoError(f"{found}: multiply by 255 and round, (x * 255).round().astype(np.uint8)")
        raise VideoError(f"{found}: round and convert, x.round().clip(0, 255).astype(np.uint8)")
    if kind == "uint16":
        raise VideoError(f"{found}: scale 16 bits down with (x // 257).astype(np.uint8)")
    raise VideoError(f"{found}: convert with .astype(np.uint8) (tensors: .to(torch.uint8))")


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    turned = image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def to_rgb(image: Image.Image, label: str, *, bits: int | None = None) -> np.ndarray:
    """An opened image as `read_frame` gives it."""
    if bits_stored(image) > 8:
        return _deep_to_rgb(image, label, bits)
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise VideoError(
            f"{label} is an image of 32-bit values (mode {image.mode!r}), whose range is not known: save the frames as 8-bit RGB"
        )
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    if image.mode == "La":
        image = image.convert("LA")
    return np.array(image.convert("RGB"))


def _deep_to_rgb(image: Image.Image, label: str, bits: int | None) -> np.ndarray:
    values = deep_values(image, label)
    if bits is None:
        bits = bits_told(image) or 16
        if bits == 16 and values.size and 0 < values.max() < 2**14:
            message = f"{label} has 16 bits, but values to {values.max()} only, and looks dark: scale it to 8 bits first"
            warnings.warn(message, VosZooWarning, stacklevel=4)
    frame = to_8_bits(values, bits)
    if frame.ndim == 2:
        frame = np.repeat(frame[..., None], 3, axis=-1)
    if image.getexif().get(_EXIF_ORIENTATION, 1) == 1:
        return frame
    turned = Image.fromarray(frame)
    turned.getexif()[_EXIF_ORIENTATION] = image.getexif()[_EXIF_ORIENTATION]
    return np.array(ImageOps.exif_transpose(turned))


def unreadable(path: str | os.PathLike[str], label: str, error: BaseException) -> VideoError:
    """The VideoError to raise for what went wrong with an image file; one that is told already stays as it is."""
    if isinstance(error, VideoError):
        return error
    name = os.fsdecode(path)[:300]
    if isinstance(error, PermissionError):
        return VideoError(f"{label}: no permission to read {name!r}: change its permissions")
    reason = "it is not an image" if isinstance(error, Image.UnidentifiedImageError) else str(error)[:300]
    return VideoError(f"{label}: {name!r} can't be read ({reason}): replace or remove the file")
