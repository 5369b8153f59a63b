"""tools/probe_memory.py: a mask carried over by keys that find the same place is that mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from programs import program

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import Preprocess
from vos_zoo.zoo import create

TINY = {"backbone": "resnet10t", "key": 8, "value": 8, "decoder": 8, "refine_width": 4, "max_memory": 3}


@pytest.fixture
def tool() -> Any:
    return program("probe_memory")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """still: three times the same picture and mask. alone: a mask on one frame only."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    mask = np.zeros((96, 128), np.uint8)
    mask[16:64, 32:96] = 1
    for name, annotated in (("still", 3), ("alone", 1)):
        for folder in ("frames", "masks"):
            (tmp_path / name / folder).mkdir(parents=True)
        for t in range(3):
            Image.fromarray(pixels).save(tmp_path / name / "frames" / f"{t:05}.png")
            if t < annotated:
                Image.fromarray(mask).save(tmp_path / name / "masks" / f"{t:05}.png")
    return tmp_path


def model(path: Path, **changes: Any) -> str:
    torch.manual_seed(0)
    segmenter = create(catalogue.read("scm-resnet18").replace(preprocess=Preprocess(384)), **TINY, **changes)
    segmenter.save_pretrained(path, dtype="float32")
    return str(path)


@pytest.mark.parametrize(("temperature", "iou", "asked"), [(0.001, (0.9, 1), (1, 20)), (10, (0, 0), (760, 768))], ids=["sharp", "blunt"])
def test_keys_that_find_themselves_carry_the_mask_over(tool, clips, tmp_path, temperature, iou, asked):
    """A sharp read of the same picture is the mask; a blunt one is its mean over the frame, a quarter, which is nowhere above half."""
    name = model(tmp_path / "weights", similarity="cosine", shared_keys=True, temperature=temperature)
    report = tmp_path / "probe.json"
    assert tool.main(["--model", name, "--clips", str(clips), "--only", "still", "--json", str(report)]) == 0
    found = json.loads(report.read_text())["still"]
    assert found["still"] == 1 and found["of"] == 24 * 32, "positions of a shorter side of 384"
    assert iou[0] <= found["keys"] <= iou[1] and asked[0] <= found["asked"] <= asked[1]


def test_what_can_not_be_probed_is_said(tool, clips, tmp_path, capsys):
    assert tool.main(["--model", "crvos", "--clips", str(clips)]) == 2
    assert "crvos has no memory of frames to probe; name a model of SCM or STM" in capsys.readouterr().err
    assert tool.main(["--model", model(tmp_path / "weights"), "--clips", str(clips), "--only", "alone"]) == 2
    assert "alone has a mask on one frame only" in capsys.readouterr().err
