"""No exception but VosZooError crosses the public face for bad input: every door, every argument, one odd value at a time."""

from __future__ import annotations

import copy
import datetime
import os
import random
import warnings
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import ODD
from pointing_toy import toy_pointer
from toy import squares_clip, toy_segmenter

import vos_zoo
from vos_zoo.errors import VosZooError
from vos_zoo.system.limits import set_limits

VALUES: list[Any] = [
    *ODD, float("nan"), float("inf"), b"x", bytearray(b"x"), object(), int, len, lambda: None, Decimal("1e999"), datetime.date(2026, 1, 1),
    1j, range(3), {1}, iter([1]), (1, 2, 3, 4, 5), [[1, 2], [3]], Path("\0"), Path("gone"), np.zeros(0), np.zeros((2, 2, 2, 2, 2)),
    np.array(["a"]), np.array(None), np.datetime64("NaT"), np.float64("nan"), np.ones((44, 60)) * np.inf, np.ones((44, 60), complex),
    torch.zeros(3), torch.ones(44, 60, device="meta"), torch.ones(2, 2).to_sparse(), [None, None], {0: None}, {"a": {"b": "c"}},
    "crvos+", "+", "file:///\0", "http://", "rtsp://[", "~/", "nobody/at-all", "cuda:99", "mps", "auto:0", "..", "/dev/null",
]  # fmt: skip
SHARE = float(os.environ.get("VOS_ZOO_PROMISE_SHARE", "0.12"))  # of all values that are tried at each argument; 1 for a long run


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Name -> (a callable, arguments that are good)."""
    place = tmp_path_factory.mktemp("doors")
    os.chdir(place)  # what an odd path is taken for lands here
    video, truth = squares_clip(4)
    segmenter, pointer = toy_segmenter(), toy_pointer()
    masks = segmenter.propagate(video, truth[0], progress=False)
    saved = masks.save(place / "saved")

    def begun() -> vos_zoo.Session:
        return segmenter.start(video[0], truth[0])

    def sequence() -> vos_zoo.MaskSequence:
        return vos_zoo.MaskSequence((44, 60), [1], fps=5)

    def streamed(**options: Any) -> list[Any]:
        return list(segmenter.stream(**options))

    def several(**options: Any) -> list[Any]:
        return list(segmenter.propagate_many(**options))

    def read(**options: Any) -> list[Any]:
        return list(vos_zoo.open_video(video).read(**options))

    def reversed_(**options: Any) -> list[Any]:
        return list(vos_zoo.open_video(video).read_reversed(**options))

    given = {"video": video, "first_mask": truth[0]}
    return {
        "load": (vos_zoo.load, {"name_or_path": "crvos-zeroshot-none", "device": "cpu", "dtype": "float32"}),
        "create": (vos_zoo.create, {"name_or_path": "nobody", "device": "cpu"}),
        "list_models": (vos_zoo.list_models, {"pattern": "*"}),
        "ensemble": (vos_zoo.ensemble, {"segmenters": [segmenter, segmenter], "weights": [1, 2]}),
        "open_video": (vos_zoo.open_video, {"source": video, "backend": "auto", "fps": 25.0, "playlists": False}),
        "Video.read": (read, {"start": 0, "stop": 2}),
        "Video.read_reversed": (reversed_, {"start": 0, "stop": 2, "chunk": 2}),
        "read_mask": (vos_zoo.read_mask, {"source": truth[0], "size": (44, 60), "resize": False, "allow_empty": False, "name": "mask"}),
        "propagate": (segmenter.propagate, {**given, "masks": None, "direction": "forward", "size": None, "resize_mask": False,
                                            "backend": "auto", "tta": None, "mode": "auto", "progress": False, "stop": None}),
        "stream": (streamed, {**given, "masks": None, "size": None, "backend": "auto", "tta": None, "mode": "auto", "drop": None}),
        "propagate_many": (several, {"videos": [video], "first_masks": [truth[0]], "masks": None, "batch": 2, "size": None, "tta": None,
                                     "progress": False}),
        "start": (segmenter.start, {"frame": video[0], "mask": truth[0], "size": None, "resize_mask": False, "tta": None}),
        "finetune": (segmenter.finetune, {"frame": video[0], "mask": truth[0], "steps": 1, "lr": 1e-3, "seed": 0, "size": None,
                                          "progress": False}),
        "save_pretrained": (segmenter.save_pretrained, {"folder": str(place / "toy"), "dtype": None}),
        "Session.step": (lambda **options: begun().step(**options), {"frame": video[1]}),
        "Session.annotate": (lambda **options: begun().annotate(**options), {"frame": video[1], "mask": truth[1]}),
        "Session.remove": (lambda **options: begun().remove(**options), {"ids": 1}),
        "point": (partial(vos_zoo.point, model=pointer), {"image": video[0], "points": [(8, 8)], "boxes": None, "scribbles": None,
                                                          "mask": None}),
        "load_pointer": (vos_zoo.load_pointer, {"name_or_path": "nobody"}),
        "Pointer.mask": (pointer.look(video[0]).mask, {"points": [(8, 8)], "boxes": None, "scribbles": None, "mask": None}),
        "prompts": (partial(segmenter.start, video[0]), {"points": {1: [(8, 8)]}, "boxes": {1: (2, 2, 20, 20)}, "scribbles": None}),
        "TTA": (lambda **options: vos_zoo.TTA(**options), {"scales": (1.0,), "flip": True}),
        "MaskSequence": (vos_zoo.MaskSequence, {"size": (44, 60), "object_ids": [1], "fps": 5.0, "frame_names": None, "first_frame": 0,
                                                "frame_step": 1}),
        "MaskSequence.append": (lambda **options: sequence().append(**options), {"labels": truth[0], "confidence": {1: 0.5}, "lost": [1]}),
        "MaskSequence.set": (lambda **options: sequence().set(**options), {"index": 0, "labels": truth[0]}),
        "MaskSequence.reserve": (lambda **options: sequence().reserve(**options), {"length": 3}),
        "MaskSequence.mask_of": (masks.mask_of, {"index": 0, "object_id": 1}),
        "MaskSequence.load": (vos_zoo.MaskSequence.load, {"folder": saved}),
        "MaskSequence.save": (masks.save, {"folder": place / "mine", "overwrite": True}),
        "MaskSequence.save_zip": (masks.save_zip, {"path": place / "a.zip"}),
        "MaskSequence.save_coco": (masks.save_coco, {"path": place / "a.json"}),
        "MaskSequence.save_video": (masks.save_video, {"path": place / "a.mp4", "video": video, "style": "overlay", "fps": 5.0,
                                                       "alpha": 0.5, "audio": True, "colours": None}),
        "MaskSequence.save_cutouts": (masks.save_cutouts, {"path": place / "cut", "video": video, "ids": [1], "overwrite": True}),
        "MaskSequence.save_as": (masks.save_as, {"path": place / "yt", "form": "youtubevis", "overwrite": True}),
        "MaskSequence.show": (masks.show, {"index": 0, "video": video, "alpha": 0.5}),
        "MaskSequence.to_supervision": (masks.to_supervision, {"index": 0}),
        "set_limits": (set_limits, {"pixels": None, "frames": None}),
    }  # fmt: skip


def test_every_door_keeps_the_promise(doors: dict[str, tuple[Callable[..., Any], dict[str, Any]]]) -> None:
    broken: dict[str, str] = {}
    rng, tried = random.Random(5), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (door, good) in doors.items():
            for argument in good:
                for value in VALUES if SHARE >= 1 else rng.sample(VALUES, max(1, round(SHARE * len(VALUES)))):
                    if callable(value) and argument in ("stop", "progress"):
                        continue  # the caller's own function: what it raises goes through
                    if argument == "steps" and isinstance(value, int) and value > 9:
                        continue  # a good number, and hours of work
                    tried += 1
                    try:
                        door(**{**good, argument: _copied(value)})
                    except VosZooError as error:
                        if not 5 < len(str(error)) < 6000:
                            broken[f"{name}({argument}=)"] = f"a message of {len(str(error))} letters"
                    except IndexError:
                        if argument != "index":
                            broken[f"{name}({argument}={value!r:.60})"] = "IndexError"
                    except Exception as error:
                        broken[f"{name}({argument}={value!r:.60})"] = f"{type(error).__name__}: {str(error)[:120]}"
    set_limits(pixels=None, frames=None)
    assert not broken, "\n".join(f"{where}: {what}" for where, what in broken.items())
    assert tried > 100


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value
