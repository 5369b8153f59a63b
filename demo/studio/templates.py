"""The HTML and the scripts of painter and player, for this page and the one without a server (browser/).

A script is one scope of several files.
"""

from __future__ import annotations

from pathlib import Path

from studio.drawing import COLOURS

HERE = Path(__file__).parent
_OBJECTS = "".join(
    f'<label class="vp-object" style="--c:{colour}"><input type="radio" name="vp-object" value="{k}" aria-label="Object {k}"'
    f'{" checked" if k == 1 else ""}><span aria-hidden="true">{k}</span></label>'
    for k, colour in enumerate(COLOURS, 1)
)


def painter_parts() -> tuple[str, str]:
    """(HTML, script)."""
    html = _text("painter.html").replace("OBJECTS", _OBJECTS).replace("COLOURS", ",".join(COLOURS))
    return html, "\n".join(map(_text, ("painter_state.js", "painter_view.js", "painter.js")))


def player_parts() -> tuple[str, str]:
    """(HTML, script)."""
    return _text("player.html"), "\n".join(map(_text, ("player_objects.js", "player.js")))


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
