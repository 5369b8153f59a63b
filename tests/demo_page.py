"""What the tests of the demo share: small models, clips of all kinds, and the page served on this machine."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from programs import module

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.videos.writer import VideoWriter

DEMO = Path(__file__).resolve().parent.parent / "demo"
SIZE, FRAMES = (64, 96), 8
CRVOS = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "reduced": [8, 8, 8], "blended": [8, 8, 8]}
RVOS = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "hidden": 8, "zero_shot": True, "slots": 3}


def app() -> ModuleType:
    """demo/app.py; skips where gradio is not installed."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install gradio")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    if str(DEMO) not in sys.path:
        sys.path.insert(0, str(DEMO))
    if "vos_zoo_demo_app" not in sys.modules:
        module("vos_zoo_demo_app", DEMO / "app.py")
    return sys.modules["vos_zoo_demo_app"]


def save_models(folder: Path) -> dict[str, str]:
    """Three checkpoints with random weights, by name: two that follow masks, one that finds objects."""
    made = {}
    for seed, (name, architecture, arguments) in enumerate((("one", "CRVOS", CRVOS), ("two", "CRVOS", CRVOS), ("finder", "RVOS", RVOS))):
        torch.manual_seed(seed)
        config = ModelConfig(name=name, architecture=architecture, model_args=arguments, preprocess=Preprocess(64))
        segmenter = vos_zoo.create(config, device="cpu", dtype="float32")
        if architecture == "CRVOS":  # of the mask before: else random weights forget it at once
            segmenter.model.refine16.blend.weight[:, -5:-3] *= 100
        made[name] = str(segmenter.save_pretrained(folder / name, dtype=None))
    return made


@contextmanager
def served(choices: Any, limits: Any, temporary: Path, answers: Any = None) -> Iterator[str]:
    """The page on a free port of this machine; its address. Its files lie in `temporary`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(temporary))
        page = app().build(choices, limits, answers)
        _, address, _ = app().launch(page, warm=False, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
        try:
            yield address
        finally:
            page.close(verbose=False)


def scene(size: tuple[int, int] = SIZE, frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W, 3) frames of a red and a blue square that drift over grey, and their ids (T, H, W)."""
    height, width = size
    side, step = height // 4, max(1, height // 32)
    video, ids = np.full((frames, height, width, 3), 110, np.uint8), np.zeros((frames, height, width), np.uint8)
    video[:, ::8] = 140
    for t in range(frames):
        for k, colour, y in ((1, (210, 40, 30), side // 2), (2, (40, 60, 220), 2 * side + side // 2)):
            x = side // 2 + step * t
            video[t, y : y + side, x : x + side] = colour
            ids[t, y : y + side, x : x + side] = k
    return video, ids


def write_clip(path: Path, size: tuple[int, int] = SIZE, frames: int = FRAMES) -> Path:
    with VideoWriter(path, fps=10, size=size) as writer:
        for frame in scene(size, frames)[0]:
            writer.write(frame)
    return path


def write_mask(path: Path, labels: np.ndarray) -> Path:
    image = Image.fromarray(labels)
    image.putpalette([channel for k in range(256) for channel in ((40 * k) % 256, (90 * k) % 256, (150 * k) % 256)])
    image.save(path)
    return path


def turn_upright(path: Path) -> Path:
    """Makes an mp4 say, as a phone does, that it is to be shown turned by 90 degrees."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("mp2", rate=44100)
        for i in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 44100, 1152 * i
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
