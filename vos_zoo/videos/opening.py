"""How FFmpeg is given a file or an address: names as they are, nothing that leads elsewhere, no claim above the limits."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vos_zoo.errors import VideoError
from vos_zoo.system.limits import limit
from vos_zoo.system.paths import local_path
from vos_zoo.videos.claims import check_samples

# Formats that are lists of other files or addresses, or no files at all
_INDIRECT = ("hls", "applehttp", "concat", "dash", "webm_dash_manifest", "sdp", "rtsp", "rtp", "rtp_mpegts", "sap", "imf", "image2",
             "image2pipe", "lavfi", "libopenmpt", "vapoursynth", "avisynth", "gdigrab", "dshow", "v4l2",
             "video4linux2", "x11grab", "fbdev", "kmsgrab", "alsa", "oss", "pulse", "jack", "sndio", "openal", "avfoundation")  # fmt: skip
_PLAYLISTS = (
    (b"#EXTM3U", "an HLS playlist"),
    (b"ffconcat", "a list of files for FFmpeg's concat"),
    (b"v=0", "a description of a session (SDP)"),
    (b"<MPD", "a DASH manifest"),
)
BACKENDS = ("auto", "pyav", "decord")  # readers of video files
_LOCAL = "file"
_FOLLOWED = "file,crypto,data,http,https,httpproxy,tcp,tls"
# What an address may lead to: its own scheme and what that is made of. http may be sent on to https, never to a file.
_WEB = "http,https,httpproxy,tcp,tls,crypto"
_PROTOCOLS = {
    "http": _WEB,
    "https": "https,httpproxy,tls,tcp,crypto",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "srt": "srt,udp",
    "udp": "udp",
    "tcp": "tcp",
    "rtp": "rtp,udp",
}
STREAM_SCHEMES = tuple(_PROTOCOLS)


def open_file(path: Path, *, playlists: bool = False) -> Any:
    """An av container of a file here.

    Args:
        path: the file; any character may stand in its name.
        playlists: whether a file that leads to others (HLS, DASH, concat, SDP) may be followed, to files and to the network.

    Raises:
        av.error.FFmpegError: it can't be read.
        VideoError: it is a playlist.
    """
    import av
    from av.error import FFmpegError

    check_samples(path)
    options = {"max_pixels": str(limit("pixels")), "protocol_whitelist": _FOLLOWED if playlists else _LOCAL}
    if not playlists:
        options["format_whitelist"] = _direct_formats()
        if kind := playlist_kind(path):
            raise VideoError(f"it is {kind}, which leads to other files or addresses; open_video(..., playlists=True) follows it")
    try:
        return av.open(f"file:{path}", "r", options=options, metadata_errors="replace")
    except (UnicodeError, AttributeError, TypeError) as error:  # PyAV, of what a header holds
        raise VideoError(f"its header is damaged ({error})") from error
    except FFmpegError:
        raise


def open_address(address: str, *, timeout: float, options: dict[str, str] | None = None) -> Any:
    """An av container of a stream; whatever it sends may lead to addresses of its own scheme only, never to files here.

    Raises:
        av.error.FFmpegError: nothing there, or nothing that can be read.
    """
    import av

    scheme = urlsplit(address).scheme.lower()
    allowed = {"max_pixels": str(limit("pixels")), "protocol_whitelist": _PROTOCOLS[scheme]}
    return av.open(address, "r", options={**allowed, **(options or {})}, timeout=timeout, metadata_errors="replace")


def playlist_kind(path: Path) -> str:
    """What kind of playlist a file is by its beginning, in words; "" if it is none."""
    with path.open("rb") as file:
        head = file.read(2048).removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, kind in _PLAYLISTS:
        if head.startswith(mark) or (mark == b"<MPD" and head.startswith(b"<?xml") and mark in head):
            return kind
    return ""


def path_of(source: str) -> Path | None:
    """`local_path` for videos.

    Raises:
        VideoError: a file:// address of another machine.
    """
    return local_path(source, VideoError)


@functools.cache
def _direct_formats() -> str:
    import av

    names = {name for names in av.formats_available for name in names.split(",")}
    return ",".join(sorted(names.difference(_INDIRECT)))
