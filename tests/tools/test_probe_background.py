"""tools/probe_background.py: of a clip that stands still nothing of the object is taken for background, and what is around it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from programs import program

from vos_zoo.engine.appearance import BACKGROUND_MARGIN, BACKGROUND_SIMILARITY
from vos_zoo.example.clip import render_example


@pytest.fixture
def tool() -> Any:
    return program("probe_background")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """still: three times a koi of the bundled example and its mask. swapped: its last mask is what the koi is not. alone: one mask only."""
    example = render_example(frames=1)
    frame, mask = example.frames[0], (example.masks[0] == 1).astype(np.uint8)
    for name, masks in (("still", [mask] * 3), ("swapped", [mask, mask, 1 - mask]), ("alone", [mask])):
        for folder in ("frames", "masks"):
            (tmp_path / name / folder).mkdir(parents=True)
        for t in range(3):
            Image.fromarray(frame).save(tmp_path / name / "frames" / f"{t:05}.png")
        for t, each in enumerate(masks):
            Image.fromarray(each).save(tmp_path / name / "masks" / f"{t:05}.png")
    return tmp_path


def rows_of(tool: Any, clips: Path, name: str) -> list[dict[str, Any]]:
    report = clips / "report.json"
    assert tool.main(["--model", "crvos", "--clips", str(clips), "--only", name, "--json", str(report)]) == 0
    rows: list[dict[str, Any]] = json.loads(report.read_text())
    return rows


def in_use(rows: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = (row for row in rows if (row["similarity"], row["margin"]) == (BACKGROUND_SIMILARITY, BACKGROUND_MARGIN))
    return row


def test_the_same_frame_again_is_told_apart(tool, clips):
    rows = rows_of(tool, clips, "still")
    row = in_use(rows)
    assert row["cut"] == row["worst"] == 0 and row["leak"] > 90 and row["in_clip"] == "still"
    for one, other in zip(rows, rows[1:], strict=False):
        if one["similarity"] == other["similarity"]:
            assert one["margin"] < other["margin"] and one["leak"] >= other["leak"], "a wider margin takes less for background"


def test_a_mask_on_background_is_cut(tool, clips):
    """Half of the masks that are compared are on what the koi is not."""
    assert in_use(rows_of(tool, clips, "swapped"))["cut"] > 80


def test_what_cannot_be_probed_is_said(tool, clips, capsys):
    assert tool.main(["--model", "crvos", "--clips", str(clips), "--only", "alone"]) == 2
    assert "alone has a mask on one frame only" in capsys.readouterr().err
    assert tool.main(["--model", "rvos-zeroshot", "--clips", str(clips), "--only", "still"]) == 2
    assert "tells nothing apart" in capsys.readouterr().err
