"""What points, written as graphs that run without torch: FOLDER/look.onnx, point.onnx, fit.onnx, and pointing.json.

    look     frames -> image_*, seen_*         a window of the picture, encoded; once for any number of clicks
    point    image_*, marks -> logits          where the object is, at half the size
    fit      seen_*, masks -> likely           a loose mask, fitted by the propagation model

Windows, marks, and how answers follow one another are `pointing/pointer.py`'s, and whoever runs the graphs does that; pointing.json has
its numbers. Frames of any height and width that are multiples of 16.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vos_zoo import __version__
from vos_zoo.engine.grid import make_grid
from vos_zoo.pointing import fitting, marks, pointer
from vos_zoo.pointing.model import PointingModel, load_pointer
from vos_zoo.pointing.network import MARKS, Reduced
from vos_zoo.pointing.prompts import POINTER
from vos_zoo.runtimes.export import OPSET, Report, check_packages, check_precision, plain_copy, quietly, write_graph
from vos_zoo.runtimes.int8 import PRECISION, example_clips, quantize_graph
from vos_zoo.runtimes.layout import Method
from vos_zoo.runtimes.manifest import Graph, TensorSpec
from vos_zoo.system.atomic_folder import atomic_folder
from vos_zoo.system.host import undisturbed_building
from vos_zoo.system.paths import user_path

if TYPE_CHECKING:
    from vos_zoo.checkpoints.config import ModelConfig

FILE = "pointing.json"
SIZE = (96, 144)  # that graphs are traced at
KEPT = ("trunk.net.conv1", "trunk.net.layer1")  # convolutions of `look` that stay in float32: the shallow ones are worth most


def export_pointer(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | PointingModel = POINTER,
    *,
    int8: bool = False,
    overwrite: bool = False,
    report: Report = lambda line: None,
) -> Path:
    """Writes the model behind a click as graphs of ONNX, and pointing.json, which says how they are used.

    Example:
        >>> vos_zoo.export_pointer("pointer-onnx")  # doctest: +SKIP

    Args:
        folder: where to; made if it is missing.
        model: a name, a folder, or what `load_pointer` gave in float32.
        int8: what looks at the picture with convolutions in whole numbers, too, a quarter of the bytes; by clips that the library renders.
        overwrite: replace what such an export left there.
        report: told what is being done, a line a graph.

    Returns:
        The folder.

    Raises:
        ModelNotFoundError: there is no such model.
        VosZooError: it makes no masks of clicks, or packages that write ONNX are missing.
        SaveError: the folder holds something else, or can't be written. Nothing half-written is left.
    """
    check_packages()
    with atomic_folder(folder, overwrite=overwrite, suffixes=(".onnx", ".json"), what="graphs") as made:
        pointing = model if isinstance(model, PointingModel) else load_pointer(model, device="cpu", dtype="float32")
        check_precision(pointing.encoder, pointing.config)
        with quietly(), undisturbed_building(), torch.no_grad():
            both = plain_copy(_Both(pointing.encoder, pointing.network))
            graphs = {}
            for name, method in _methods(both).items():
                report(f"{pointing.config.name}: {name}")
                path = made / f"{name}.onnx"
                graphs[name] = write_graph(both, pointing.config, name, method, path)
                if int8:
                    files = graphs[name].files
                    files[PRECISION] = quantize_graph(path, _windows(), keep=KEPT) if name == "look" else files["float32"]
            _write_facts(made / FILE, pointing.config, graphs)
    return user_path(folder)


class _Both(nn.Module):
    """Encoder and head as one."""

    def __init__(self, encoder: nn.Module, network: nn.Module):
        super().__init__()
        self.encoder, self.network = encoder, network


def _methods(both: _Both) -> dict[str, Method]:
    encoder: Any = both.encoder
    network: Any = both.network
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(1, 3, *SIZE, generator=generator)
    features = encoder.encode(frames)
    kind = type(features)
    image = network.prepare(features)
    told = torch.rand(1, MARKS, *SIZE, generator=generator).round()
    masks = torch.rand(1, 1, *SIZE, generator=generator)

    def look(given: Tensor) -> tuple[Tensor, ...]:
        seen = encoder.encode(given)
        return (*network.prepare(seen), *seen)

    def point(*given: Tensor) -> tuple[Tensor, ...]:
        return (network(Reduced(*given[:-1]), given[-1])[0],)

    def fit(*given: Tensor) -> tuple[Tensor, ...]:
        seen = kind(*given[:-1])
        return (encoder.step(seen, encoder.start(seen, given[-1]))[0][:, 1:2],)

    seen_specs = tuple(_spec(f"seen_{name}", value) for name, value in zip(kind._fields, features, strict=True))
    image_specs = tuple(_spec(f"image_{name}", value) for name, value in zip(Reduced._fields, image, strict=True))
    frame_spec, told_spec, mask_spec = _spec("frames", frames), _spec("marks", told), _spec("masks", masks)
    pointed, likely = point(*image, told)[0], fit(*features, masks)[0]
    return {
        "look": Method(look, (frame_spec,), (*image_specs, *seen_specs), (frames,)),
        "point": Method(point, (*image_specs, told_spec), (_spec("logits", pointed),), (*image, told)),
        "fit": Method(fit, (*seen_specs, mask_spec), (_spec("likely", likely),), (*features, masks)),
    }


def _spec(name: str, value: Tensor) -> TensorSpec:
    shrunk = [SIZE[n] // side for n, side in enumerate(value.shape[-2:])]
    sides = tuple(letter if factor == 1 else f"{letter}/{factor}" for letter, factor in zip("HW", shrunk, strict=True))
    return TensorSpec(name, "float32", (*value.shape[:-2], *sides))


def _windows() -> list[dict[str, Any]]:
    """Pictures to calibrate `look` by, as it sees them."""
    found = []
    for clip in example_clips(frames=4):
        grid = make_grid(clip.frames.shape[1:3], short_side=224, stride=16, padding="reflect")
        found += [{"frames": grid.frame(frame, torch.device("cpu")).numpy()} for frame in clip.frames]
    return found


def _write_facts(path: Path, config: ModelConfig, graphs: dict[str, Graph]) -> None:
    names = {
        pointer: "FIRST_LOOK SECOND_LOOK SHRUNK GROWN MARGIN ENLARGED MERGE_SIDE REACH MOST_AROUND SMALLEST_LOOK",
        fitting: "FITTED_LOOK STEPS SPREAD NEIGHBOURS FEWEST_OUTSIDE OUTSIDE ALIKE SOFTNESS LEAST",
        marks: "DISK",
    }
    numbers = {name.lower(): getattr(module, name) for module, those in names.items() for name in those.split()}
    weights = config.weights.sha256 if config.weights else None
    facts = {"library": "vos_zoo", "version": __version__, "name": config.name, "weights": weights, "opset": OPSET}
    said = {name: dataclasses.asdict(graph) for name, graph in graphs.items()}
    path.write_text(json.dumps({**facts, "stride": 16, "numbers": numbers, "graphs": said}, indent=1) + "\n", encoding="utf-8")
