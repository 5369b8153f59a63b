"""The player: the clip and its overlay in one picture with a line between them that can be moved; key frames below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from studio.cards import file
from studio.clips import Clip
from studio.results import Files, Part

HERE = Path(__file__).parent


def player(**options: Any) -> gr.HTML:
    """Its value is `play(...)` or {"mode": "empty"}. Event: "correct" a frame."""
    template, script = ((HERE / name).read_text(encoding="utf-8") for name in ("player.html", "player.js"))
    return gr.HTML({"mode": "empty"}, html_template=template, js_on_load=script, apply_default_css=False, **options)


def play(clip: Clip, parts: list[Part], files: Files) -> dict[str, Any]:
    return {
        "mode": "ready",
        "video": file(files.player),
        "panels": ["Original", *(part.title for part in parts)],
        "height": files.panel[0],
        "width": files.panel[1],
        "fps": clip.fps,
        "begin": parts[0].begin,
        "frames": len(parts[0].masks),
        "strip": [{"frame": frame, "picture": picture} for frame, picture in files.strip],
    }
