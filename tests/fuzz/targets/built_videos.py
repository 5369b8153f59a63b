"""Videos that nobody recorded: headers that claim what is not there, bombs, odd numbers, playlists under every suffix."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from ..mutation import ODD_NUMBERS
from ..target import Target
from .videos import Case, feed, pictures, seeds

SIDES = (0, 1, 2, 16, 48, 255, 4096, 8192, 8193, 16_000, 16_384, 32_767, 32_768, 65_535)
HUGE = (0, 1, 2**16 - 1, 2**24, 2**28, 2**31 - 1, 2**31, 2**32 - 1)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _gif(rng: random.Random) -> tuple[str, bytes]:
    """Frames of one pixel on a canvas of any size; now and then thousands of them."""
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    x, y, wide, high = rng.choice((0, 0, 1, 60_000)), rng.choice((0, 0, 1, 60_000)), rng.choice((1, 1, width)), rng.choice((1, 1, height))
    control = b"\x21\xf9\x04" + struct.pack("<BHB", rng.randrange(16), rng.choice((0, 1, 4, 65_535)), 0) + b"\0"
    picture = b"\x2c" + struct.pack("<HHHHB", x, y, wide, high, 0) + b"\x02\x02\x44\x01\x00"
    count = rng.choice((1, 2, 5, 3000))
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return ".gif", head + (control + picture) * count + b";" * rng.randrange(2)


def _png(rng: random.Random) -> tuple[str, bytes]:
    """An animated PNG whose sides, count of pictures and places are made up; its data are zeros that grow."""
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    depth, colour = rng.choice(((8, 2), (8, 6), (1, 0), (16, 2), (8, 3), (16, 6), (3, 2)))
    frames, data = rng.choice((2, 3, *HUGE)), zlib.compress(bytes(rng.choice((10, 10_000, 5_000_000))))
    found = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    found += _chunk(b"acTL", struct.pack(">II", frames, 0))
    for number in range(3):
        where = (rng.choice((width, 1)), rng.choice((height, 1)), rng.choice((0, 0, 40_000)), 0, 1, rng.choice((0, 25)), 0, 0)
        found += _chunk(b"fcTL", struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), *where))
        found += _chunk(b"IDAT", data) if number == 0 else _chunk(b"fdAT", struct.pack(">I", 2 * number) + data)
    return ".png", found + _chunk(b"IEND", b"")


def _webp(rng: random.Random) -> tuple[str, bytes]:
    """An animated WebP on a canvas of any size, its pictures anywhere."""
    data = bytearray(pictures()["animated.webp"])
    for at in _places(bytes(data), b"VP8X", 12) + _places(bytes(data), b"ANMF", 8):
        for offset in rng.sample((0, 3, 6, 9), rng.randrange(3)):
            data[at + offset : at + offset + 3] = rng.choice((0, 15, 8_191, 16_383, 2**24 - 1)).to_bytes(3, "little")
    return ".webp", bytes(data)


def _tiff(rng: random.Random) -> tuple[str, bytes]:
    """Pages that claim any size, bits and place of their data, and follow each other in a ring or without end."""
    entries = {256: rng.choice(SIDES), 257: rng.choice(SIDES), 258: rng.choice((8, 8, 16, 1, 32, 64)),
               259: rng.choice((1, 1, 5, 8, 32_773, 7)), 262: rng.choice((1, 1, 2, 3, 6)), 273: rng.choice((8, 10**6)),
               277: rng.choice((1, 1, 3, 60_000)), 278: rng.choice((1, *HUGE)), 279: rng.choice((10, *HUGE)),
               339: rng.choice((1, 3))}  # fmt: skip
    count, found = rng.choice((1, 2, 4, 2000)), bytearray(b"II*\0" + struct.pack("<I", 8))
    for number in range(count):
        at = len(found)
        following = at + 2 + 12 * len(entries) + 4 if number + 1 < count else rng.choice((0, 8, at, 2**31))
        found += struct.pack("<H", len(entries))
        for tag, value in sorted(entries.items()):
            found += struct.pack("<HHII", tag, 4, rng.choice((1, 1, 1, 1, 1, 1, 2**28)) if rng.random() < 0.02 else 1, value)
        found += struct.pack("<I", following)
    return rng.choice((".tif", ".tiff")), bytes(found)


def _y4m(rng: random.Random) -> tuple[str, bytes]:
    """Raw pictures whose header says what they should be."""
    width, height = rng.choice((*SIDES, 10**9)), rng.choice((*SIDES, -1, 10**9))
    rate = rng.choice(("25:1", "0:0", "1:0", "999999999:1", "1:999999999", "-25:1"))
    aspect = rng.choice(("1:1", "0:0", "1:65535", "-1:1"))
    head = f"YUV4MPEG2 W{width} H{height} F{rate} Ip A{aspect} C{rng.choice(('420jpeg', '444p16', '1'))}\n"
    return ".y4m", head.encode() + (b"FRAME\n" + bytes(min(abs(width * height), 3000) * 3 // 2)) * rng.choice((1, 3))


def _boxes(rng: random.Random) -> tuple[str, bytes]:
    """An mp4 or mov whose boxes hold numbers of their own: sizes, counts of samples, times, edits, turns."""
    name = rng.choice(("h264.mp4", "plain.mp4", "png.mov", "prores.mov"))
    data = bytearray(seeds()[name])
    boxes = rng.sample((b"tkhd", b"mvhd", b"mdhd", b"stsz", b"stts", b"stsc", b"stco", b"ctts", b"elst", b"stsd", b"pasp", b"colr"), 3)
    for box in boxes:
        for at in _places(bytes(data), box, 4):
            for _ in range(rng.choice((1, 2))):
                offset = at + rng.choice((0, 4, 8, 12, 16, 20, 24, 28, 36, 40, 76, 80))
                data[offset : offset + 4] = (rng.choice(HUGE) if rng.random() < 0.7 else rng.randrange(2**32)).to_bytes(4, "big")
    return Path(name).suffix, bytes(data)


def _many_samples(rng: random.Random) -> tuple[str, bytes]:
    """An mp4 of one chunk that claims a sample for every byte of a terabyte, all of one size."""
    data = bytearray(seeds()["plain.mp4"])
    for box, fields in ((b"stsz", (1, rng.choice(HUGE))), (b"stts", (1, rng.choice(HUGE), 1)), (b"stsc", (1, 1, rng.choice(HUGE), 1))):
        for at in _places(bytes(data), box, 4):
            data[at : at + 4 * len(fields)] = b"".join(struct.pack(">I", value) for value in fields)
    return ".mp4", bytes(data)


def _matroska(rng: random.Random) -> tuple[str, bytes]:
    """Matroska whose elements claim sizes and lengths, and tags that are no text and no time."""
    data = bytearray(seeds()[rng.choice(("ffv1.mkv", "h264.mkv", "vp9.webm"))])
    for mark in rng.sample((b"\xb0", b"\xba", b"\x44\x89", b"\x2a\xd7\xb1", b"\x86", b"DURATION", b"\x73\xc4", b"\x23\xe3\x83"), 3):
        for at in _places(bytes(data), mark, 0)[:2]:
            data[at + 1 : at + 3] = rng.choice((b"\x82\xff", b"\xff\xff", b"\x80\x80", b"a:", b"na", b"\x88\x7f"))
    return rng.choice((".mkv", ".webm")), bytes(data)


def _avi(rng: random.Random) -> tuple[str, bytes]:
    """AVI whose headers claim sizes, rates and numbers of frames."""
    data = bytearray(seeds()[rng.choice(("mpeg4.avi", "jpeg.avi"))])
    for box in rng.sample((b"avih", b"strh", b"strf", b"idx1", b"indx"), 2):
        for at in _places(bytes(data), box, 4):
            offset = at + 4 * rng.randrange(1, 14)
            data[offset : offset + 4] = rng.choice(HUGE).to_bytes(4, "little")
    return ".avi", bytes(data)


def _playlist(rng: random.Random) -> tuple[str, bytes]:
    """Files that lead elsewhere, under their own suffix and under others'."""
    address = rng.choice(("/etc/passwd", "other.mp4", "http://127.0.0.1:9/a.ts", "file:///etc/hosts", "../x", "concat:a|b", "data:,", "\0"))
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{address}'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {rng.choice(ODD_NUMBERS)} RTP/AVP 96\n",
        f'<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{address}</BaseURL></Period></MPD>',
        f"[playlist]\nFile1={address}\nNumberOfEntries=1\n",
        f'<smil><body><video src="{address}"/></body></smil>',
    )
    suffix = rng.choice((".m3u8", ".ffconcat", ".sdp", ".mpd", ".pls", ".smil", ".mp4", ".mkv", ".txt", ".gif", ".png", ".y4m", ".ts"))
    return suffix, rng.choice((b"", b"\xef\xbb\xbf", b"\n\n ")) + rng.choice(texts).encode("utf-8", "replace")


def _places(data: bytes, mark: bytes, behind: int) -> list[int]:
    """Where something begins so many bytes behind a mark."""
    return [found.end() + behind for found in re.finditer(re.escape(mark), data)]


KINDS: tuple[Callable[[random.Random], tuple[str, bytes]], ...] = (
    _gif, _png, _webp, _tiff, _y4m, _boxes, _boxes, _many_samples, _matroska, _avi, _playlist)  # fmt: skip


def make(rng: random.Random, folder: Path) -> Case:
    suffix, data = rng.choice(KINDS)(rng)
    path = folder / f"video{suffix}"
    path.write_bytes(data)
    return Case(path, rng.random() < 0.1)


TARGETS = [Target("videos-built", make, feed)]
