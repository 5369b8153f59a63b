"""How the page's events are bound, and what they carry."""

from __future__ import annotations

from typing import Any

import gradio as gr

QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
READING: dict[str, Any] = {**QUICK, "show_progress": "minimal"}  # of a file: long enough to be shown

Update = dict[Any, Any]  # component -> what it shows now


def number(event: gr.EventData, name: str) -> int:
    """A whole number that a component of the page sent with its event.

    Raises:
        gr.Error: there is none under this name.
    """
    value = event._data.get(name) if isinstance(event._data, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**53:
        raise gr.Error("The page sent something that can't be read: load it again.", print_exception=False)
    return int(value)
