"""What the numbers of a picture mean as colours: matrix, range and transfer, by tag or by one rule; HDR brought to SDR."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter

# The numbers of ITU-T H.273, which FFmpeg uses too
BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020 = 1, 2, 4, 5, 6, 7, 9
LIMITED, FULL = 1, 2
PQ, HLG = 16, 18
_MATRICES = (BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020)
_BT2020_CONSTANT, _P3 = 10, 12
_NOT_KNOWN = {8: "YCgCo", 11: "Y'D'zD'x", 12: "chromaticity-derived", 13: "chromaticity-derived, constant luminance", 14: "ICtCp"}
_HD_LINES = 720
_WHITE = 203.0  # nits that diffuse white has in HDR (ITU-R BT.2408)
_PEAK = 1000.0 / _WHITE  # of the brightest light that is told from brighter ones
_KNEE = 0.75  # up to this light, of white, nothing is changed
_TO_BT709 = {
    BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    _P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)


class Tags(NamedTuple):
    """Colour tags of a video, numbers of H.273."""

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0  # LIMITED, FULL, 0 unknown

    @classmethod
    def of(cls, picture: VideoFrame) -> Tags:
        """Those of a decoded av.VideoFrame."""
        range_ = int(picture.color_range)
        if picture.format.name.startswith("yuvj"):
            range_ = FULL
        primaries, transfer = (getattr(picture, name, UNSPECIFIED) for name in ("color_primaries", "color_trc"))  # PyAV from 16 on
        return cls(int(picture.colorspace), int(primaries), int(transfer), range_)

    @property
    def hdr(self) -> str:
        """The kind of HDR in words; "" if it is none."""
        return {PQ: "HDR (PQ)", HLG: "HDR (HLG)"}.get(self.transfer, "")

    @property
    def unknown_matrix(self) -> str:
        """The name of the matrix if there is one by which no RGB can be made here, else ""."""
        return _NOT_KNOWN.get(self.matrix, "")

    def written(self, height: int) -> Tags:
        """What a video of these tags is written with: HDR became SDR; what is not told follows the rule for that many lines."""
        if self.hdr:
            return Tags(BT709, BT709, BT709, LIMITED)
        usual = Tags(matrix_for(UNSPECIFIED, height), BT709, BT709, LIMITED)
        known = self._replace(matrix=BT2020 if self.matrix == _BT2020_CONSTANT else self.matrix)
        return Tags(
            known.matrix if known.matrix in _MATRICES else usual.matrix,
            known.primaries if _told(known.primaries, 12) else usual.primaries,
            known.transfer if _told(known.transfer, 15) else usual.transfer,
            known.range if known.range in (LIMITED, FULL) else usual.range,
        )


def matrix_for(matrix: int, height: int) -> int:
    """The matrix by its tag; without one BT.709 from 720 lines up, BT.601 below, for files that are read as for those that are written."""
    if matrix == _BT2020_CONSTANT:
        return BT2020
    if matrix in _MATRICES:
        return matrix
    return BT709 if height >= _HD_LINES else SMPTE170M


def scaler_matrix(matrix: int) -> int:
    """The number under which PyAV's reformatter knows a matrix."""
    return BT470BG if matrix == SMPTE170M else matrix


def to_rgb(picture: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """A decoded picture as stored, (H, W, 3) uint8 RGB of SDR.

    Raises:
        av.error.FFmpegError: FFmpeg knows no way from the picture's format to RGB.
    """
    tags = Tags.of(picture)
    options: dict[str, int] = {"dst_colorspace": BT470BG}  # RGB has none, but PyAV before 17 minds the source's only if one is named
    if not picture.format.is_rgb:
        options["src_colorspace"] = scaler_matrix(matrix_for(tags.matrix, picture.height))
        if tags.range in (LIMITED, FULL):
            options["src_color_range"] = tags.range
    if not tags.hdr:
        frame: np.ndarray = reformatter.reformat(picture, format="rgb24", **options).to_ndarray()
        return frame
    deep = reformatter.reformat(picture, format="rgb48le", **options).to_ndarray()
    return tone_mapped(deep, transfer=tags.transfer, primaries=tags.primaries)


def tone_mapped(frame: np.ndarray, *, transfer: int, primaries: int = UNSPECIFIED) -> np.ndarray:
    """HDR as SDR: light up to 3/4 of diffuse white (203 nits) as it is, brighter light compressed, gamut cut to BT.709.

    Args:
        frame: (H, W, 3) uint16 RGB codes of the whole range.
        transfer: PQ or HLG.
        primaries: BT2020, also where they are not told, P3, or any other, which is left as it is.

    Returns:
        (H, W, 3) uint8 RGB, sRGB.
    """
    light = _light_table(transfer)[frame]  # float32, 1 is diffuse white
    if transfer == HLG:
        light *= np.maximum(light @ _BT2020_LUMINANCE, 1e-6)[..., None] ** np.float32(0.2) * np.float32(_PEAK)
    matrix = _TO_BT709.get(BT2020 if primaries == UNSPECIFIED else primaries)
    if matrix is not None:
        light = light @ np.array(matrix, np.float32).T
    light = np.maximum(light, 0)
    brightest = light.max(axis=2, keepdims=True)
    over = (brightest > _KNEE)[..., 0]
    light[over] *= _rolled_off(brightest[over]) / brightest[over]
    codes = np.sqrt(np.minimum(light, 1)) * np.float32(4095)
    return _srgb_table()[codes.astype(np.uint16)]


def _told(number: int, most: int) -> bool:
    return 0 < number <= most and number not in (UNSPECIFIED, 3)


def _rolled_off(light: np.ndarray) -> np.ndarray:
    """Light above the knee, so that the peak comes out as 1; the slope is 1 at the knee."""
    room = 1 - _KNEE
    x = np.minimum((light - _KNEE) / np.float32(room), np.float32((_PEAK - _KNEE) / room))
    most = (_PEAK - _KNEE) / room
    rolled: np.ndarray = _KNEE + room * x * (1 + x / np.float32(most**2)) / (1 + x)
    return rolled


@functools.cache
def _light_table(transfer: int) -> np.ndarray:
    """Light for each 16-bit code: of PQ in diffuse whites, of HLG the scene's, 0 to 1."""
    code = np.arange(65536) / 65535
    if transfer == PQ:
        root = code ** (32 / 2523)
        nits = 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
        return (nits / _WHITE).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _srgb_table() -> np.ndarray:
    """sRGB code for each 4095th of the square root of light."""
    light = (np.arange(4096) / 4095) ** 2
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * code).astype(np.uint8)
