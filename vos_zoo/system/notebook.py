"""What a notebook shows of a value: plain HTML, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

MOST_LETTERS = 200  # of a value


def as_table(title: str, facts: Mapping[str, Any]) -> str:
    """A table with a row a fact; facts that are empty are left out.

    Args:
        title: its heading.
        facts: name -> value. Whole numbers are written with commas, lists and mappings as their entries.

    Example:
        >>> as_table("a model", {"parameters": 1200, "paper": {}})
        '<table><caption>a model</caption><tr><th style="text-align:left">parameters</th><td>1,200</td></tr></table>'
    """
    rows = [(name, text) for name, value in facts.items() if (text := _text(value))]
    cells = "".join(f'<tr><th style="text-align:left">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}: {_text(each)}" for key, each in value.items())
    elif isinstance(value, (list, tuple)):
        text = "; ".join(map(_text, value))
    else:
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."
