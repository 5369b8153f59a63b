"""A model as somebody would add it: one file, and one folder with its config."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HEAD = '''"""Dots: an object is every pixel of the colour that it had in the annotated frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts.ops import aggregate


'''


def model_file(name: str = "Dot") -> str:
    """The toy of tests/toy.py as a file of models/: class Dot and its Config."""
    toy = (Path(__file__).parent / "toy.py").read_text(encoding="utf-8")
    body = toy[toy.index("class State(") : toy.index("def toy_segmenter")].replace("Toy", name)
    return HEAD + re.sub(r"(    Config = Config\n)", r'\1    debug = {"tolerance": 0.2}\n', body).rstrip() + "\n"


def config(name: str = "dot", **changes: Any) -> dict[str, Any]:
    return {
        "library": "vos_zoo",
        "format_version": 1,
        "name": name,
        "architecture": "Dot",
        "model_args": {"tolerance": 0.15},
        "preprocess": {"short_side": 48},
        "licence": "MIT",
        "description": "dots of one colour",
        "paper": {"title": "Dots: A Toy", "authors": "A. Body", "venue": "Tests 2026"},
        "published": [{"where": "drawings", "what": "99.9 (Table 1)"}],
        "limits": "It knows nothing but colours.",
        "training": {"data": "none"},
        **changes,
    }


def write_entry(hub_configs: Path, name: str = "dot", **changes: Any) -> Path:
    (hub_configs / name).mkdir(parents=True)
    (hub_configs / name / "config.json").write_text(json.dumps(config(name, **changes)))
    return hub_configs / name
