"""Pictures as they are shown: turned by the orientation in their EXIF data."""

from __future__ import annotations

from PIL import Image, ImageOps


def orientation(image: Image.Image) -> int:
    """How a picture is to be turned, from 1 (not at all) to 8, by its EXIF data; 5 to 8 lay it on its side."""
    try:
        found = image.getexif().get(0x112)
    except Exception:  # damaged EXIF data, of which Pillow raises whatever it meets
        return 1
    return found if isinstance(found, int) and 1 < found <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """The picture turned, with its format; itself where nothing is to be turned.

    Example:
        >>> upright(Image.new("L", (4, 3))).size
        (4, 3)
    """
    if orientation(image) == 1:
        return image
    turned = ImageOps.exif_transpose(image)
    turned.format = image.format  # that of a JPEG tells what grey levels are
    return turned
