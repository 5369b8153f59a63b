"""The player: the clip and its overlay in one picture with a line between them that can be moved; key frames below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.cards import file
from studio.clips import Clip
from studio.drawing import colour_of
from studio.looks import Looks
from studio.results import Files, Part
from studio.templates import player_parts


def player(**options: Any) -> gr.HTML:
    """Its value is `play(...)` or {"mode": "empty"}. Events: "correct" a frame; "look": names, colours, what is hidden."""
    template, script = player_parts()
    return gr.HTML({"mode": "empty"}, html_template=template, js_on_load=script, apply_default_css=False, **options)


def play(clip: Clip, parts: list[Part], files: Files, looks: Looks, drawn: Mapping[int, str]) -> dict[str, Any]:
    """What the player shows. drawn: in which colours the video has objects that have not their usual one."""
    ids = sorted({k for part in parts for k in part.masks.object_ids})
    objects = [(k, looks.name(k), looks.colour(k), drawn.get(k, colour_of(k)), k not in looks.hidden) for k in ids]
    return {
        "mode": "ready",
        "video": file(files.player),
        "panels": ["Original", *(part.title for part in parts)],
        "height": files.panel[0],
        "width": files.panel[1],
        "fps": clip.fps,
        "begin": parts[0].begin,
        "frames": len(parts[0].masks),
        "objects": [dict(zip(("id", "name", "colour", "drawn", "shown"), each, strict=True)) for each in objects],
        "masks": [{"ids": list(part.masks.object_ids), "file": file(path)} for part, path in zip(parts, files.objects, strict=True)],
        "strip": [{"frame": frame, "picture": picture} for frame, picture in files.strip],
    }
