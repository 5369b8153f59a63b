"""Shows the Example section of a docstring as code on the site; mkdocs.yml names this file as an extension of the reference.

What reads docstrings for the site knows the section as "Examples:" only.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class DocstringExamples(Extension):
    """Renames the section in every docstring that is read."""

    def on_instance(self, *, obj: Object, **more: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
