"""What points, written as graphs that run without torch: FOLDER/look.onnx, point.onnx, fit.onnx, and pointing.json.

    look     frames -> image_*, seen_*         a window of the picture, encoded; once for any number of clicks
    point    image_*, marks -> logits          where the object is, at half the size
    fit      seen_*, masks -> likely           a loose mask, fitted by the propagation model

Windows, marks, and how answers follow one another are `pointing/pointer.py`'s, and whoever runs the graphs does that; pointing.json has
its numbers. Frames of any height and width that are multiples of 16.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vos_zoo import __version__
from vos_zoo.engine.grid import make_grid
from vos_zoo.errors import SaveError
from vos_zoo.pointing import fitting, marks, pointer
from vos_zoo.pointing.model import PointingModel, load_pointer
from vos_zoo.pointing.network import MARKS, Reduced
from vos_zoo.pointing.prompts import POINTER
from vos_zoo.runtimes.export import OPSET, Report, check_packages, check_precision, quietly, write_graph
from vos_zoo.runtimes.int8 import PRECISION, example_clips, quantize_graph
from vos_zoo.runtimes.layout import Method
from vos_zoo.runtimes.manifest import GraphFile, TensorSpec
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.host import undisturbed_building
from vos_zoo.system.leftovers import contents
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
    place = user_path(folder)
    _check_free(place, overwrite)
    pointing = model if isinstance(model, PointingModel) else load_pointer(model, device="cpu", dtype="float32")
    check_precision(pointing.encoder, pointing.config)
    with quietly(), undisturbed_building(), torch.no_grad():
        both = _Both(pointing.encoder, pointing.network)
        with atomic_write(place, replace_folder=overwrite) as made:
            made.mkdir()
            graphs: dict[str, dict[str, Any]] = {}
            for name, method in _methods(both).items():
                report(f"{pointing.config.name}: {name}")
                graph = write_graph(both, pointing.config, name, method, made / f"{name}.onnx")
                if int8 and name == "look":
                    graph.files[PRECISION] = quantize_graph(made / f"{name}.onnx", _windows(), keep=KEPT)
                graphs[name] = {
                    "inputs": [spec.name for spec in graph.inputs],
                    "outputs": [spec.name for spec in graph.outputs],
                    "files": {precision: vars(file) for precision, file in _files(graph.files, int8).items()},
                }
            _write_facts(made / FILE, pointing.config, graphs)
    return place


class _Both(nn.Module):
    """Encoder and head as one, in plain tensors' order."""

    def __init__(self, encoder: nn.Module, network: nn.Module):
        super().__init__()
        self.encoder, self.network = copy.deepcopy(encoder), copy.deepcopy(network)
        self.to("cpu").to(memory_format=torch.contiguous_format)
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.data = tensor.data.contiguous()


def _methods(both: _Both) -> dict[str, Method]:
    encoder: Any = both.encoder
    network: Any = both.network
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(1, 3, *SIZE, generator=generator)
    features = encoder.encode(frames)
    kinds = type(features)
    image = network.prepare(features)
    told = torch.rand(1, MARKS, *SIZE, generator=generator).round()
    masks = torch.rand(1, 1, *SIZE, generator=generator)

    def look(given: Tensor) -> tuple[Tensor, ...]:
        seen = encoder.encode(given)
        return (*network.prepare(seen), *_told(seen))

    def point(*given: Tensor) -> tuple[Tensor, ...]:
        return (network(Reduced(*given[:3]), given[3])[0],)

    def fit(*given: Tensor) -> tuple[Tensor, ...]:
        seen = kinds(*given[:-1], given[-2][:, :0]) if len(given) == len(kinds._fields) else kinds(*given[:-1])
        return (encoder.step(seen, encoder.start(seen, given[-1]))[0][:, 1:2],)

    names = [f"seen_{name}" for name in kinds._fields][: len(_told(features))]
    seen_specs = tuple(map(_spec, names, _told(features)))
    image_specs = tuple(_spec(f"image_{name}", value) for name, value in zip(Reduced._fields, image, strict=True))
    frame_spec, told_spec, mask_spec = _spec("frames", frames), _spec("marks", told), _spec("masks", masks)
    pointed, likely = point(*image, told)[0], fit(*_told(features), masks)[0]
    return {
        "look": Method(look, (frame_spec,), (*image_specs, *seen_specs), (frames,)),
        "point": Method(point, (*image_specs, told_spec), (_spec("logits", pointed),), (*image, told)),
        "fit": Method(fit, (*seen_specs, mask_spec), (_spec("likely", likely),), (*_told(features), masks)),
    }


def _told(features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The features that have a channel."""
    return tuple(each for each in features if each.shape[1])


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


def _files(files: dict[str, GraphFile], int8: bool) -> dict[str, GraphFile]:
    return {**({PRECISION: files["float32"]} if int8 else {}), **files}


def _write_facts(path: Path, config: ModelConfig, graphs: dict[str, dict[str, Any]]) -> None:
    names = {
        pointer: "FIRST_LOOK SECOND_LOOK SHRUNK GROWN MARGIN ENLARGED MERGE_SIDE REACH MOST_AROUND SMALLEST_LOOK",
        fitting: "FITTED_LOOK STEPS SPREAD NEIGHBOURS FEWEST_OUTSIDE OUTSIDE ALIKE SOFTNESS LEAST",
        marks: "DISK",
    }
    numbers = {name.lower(): getattr(module, name) for module, those in names.items() for name in those.split()}
    weights = config.weights.sha256 if config.weights else None
    facts = {"library": "vos_zoo", "version": __version__, "name": config.name, "weights": weights, "opset": OPSET}
    path.write_text(json.dumps({**facts, "stride": 16, "numbers": numbers, "graphs": graphs}, indent=1) + "\n", encoding="utf-8")


def _check_free(place: Path, overwrite: bool) -> None:
    try:
        found = [each.name for each in contents(place)] if place.is_dir() else []
        if place.exists() and not place.is_dir():
            raise SaveError(f"{place} is a file, and a folder is needed: choose another folder")
    except OSError as error:
        raise SaveError(f"can't save to {place}: {error.strerror or error}. Choose another folder") from error
    if found and FILE not in found:
        raise SaveError(f"{place} holds {found[0]}, which no export of a pointer left there: choose another folder")
    if found and not overwrite:
        raise SaveError(f"{place} holds an export already: choose another folder, or pass overwrite=True to replace it")
