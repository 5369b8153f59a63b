"""Graphs whose convolutions compute in whole numbers: one byte a value instead of four, and faster where the CPU has instructions for that.

ONNX Runtime's own static quantisation: weights by output channel, activations by the range that nearly all of them have in some frames of
clips (calibration; the few that lie farther out would leave the others few of the 256 steps). Only convolutions are changed; upsampling,
and all that competes and remembers, stays in float32.

Weights use 7 of their 8 bits. A CPU without instructions for whole numbers (VNNI) adds pairs of products in 16 bits, which would overflow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.engine.grid import Grid, make_grid
from vos_zoo.errors import VosZooError
from vos_zoo.example.clip import Pond, render_example
from vos_zoo.runtimes.graph_model import GraphModel
from vos_zoo.runtimes.manifest import Graph, GraphFile, Manifest
from vos_zoo.runtimes.providers import CPU, onnxruntime

PRECISION = "int8"
PERCENTILE = 99.999  # of a map's values, which its range holds
EXAMPLE = "two clips that vos_zoo renders itself"


class Clip(NamedTuple):
    """Frames to calibrate by, one after another, and the objects in the first."""

    frames: np.ndarray  # (T, H, W, 3) uint8
    masks: np.ndarray  # (K, H, W) bool


def quantize(folder: Path, clips: Sequence[Clip], *, said: str, keep: Sequence[str] = ()) -> None:
    """Adds to a folder of float32 graphs the same ones in int8, and says so in its export.json.

    Args:
        folder: that `export` wrote.
        clips: to calibrate by. More frames take longer; a dozen suffice.
        said: of these clips, for export.json.
        keep: convolutions that stay in float32, by a part of their weight's name.

    Raises:
        VosZooError: onnxruntime's tools are missing.
    """
    manifest = Manifest.read(folder)
    recorded = _recorded(manifest, folder, clips)
    graphs: dict[str, Graph] = {}
    for name, graph in manifest.graphs.items():
        source = graph.files["float32"]
        path = folder / source.file
        files = {**graph.files, PRECISION: source}
        if _convolutions(path) and name in recorded:
            files[PRECISION] = quantize_graph(path, recorded[name], keep=keep)
        graphs[name] = dataclasses.replace(graph, files=files)
    calibration = {"clips": said, "frames": sum(len(clip.frames) for clip in clips), "kept": list(keep)}
    dataclasses.replace(manifest, graphs=graphs, calibration=calibration, versions=_versions(manifest)).write(folder)


def quantize_graph(path: Path, feeds: Sequence[dict[str, np.ndarray]], *, keep: Sequence[str] = ()) -> GraphFile:
    """Writes one float32 graph in int8 beside itself, calibrated by what goes into it; keep: as in `quantize`."""
    kept = [node for node, weight in _convolutions(path).items() if any(each in weight for each in keep)]
    quantized = path.with_name(f"{path.stem}_qint8.onnx")
    _quantized(path, quantized, _Reader(feeds), nodes_to_exclude=kept)
    return GraphFile(quantized.name, sha256_of(quantized), quantized.stat().st_size)


def sensitivity(folder: Path, clips: Sequence[Clip]) -> list[tuple[float, str, str]]:
    """What each convolution by itself does to its graph: (error, graph, name of its weight), the worst first.

    The error is the mean square by which the graph's outputs move when only this convolution is in int8, as a share of their variance.
    """
    manifest = Manifest.read(folder)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, feeds in _recorded(manifest, folder, clips).items():
            path = folder / manifest.graphs[name].files["float32"].file
            expected = _outputs(path, feeds[-1])
            for node, weight in _convolutions(path).items():
                one = Path(scratch) / "one.onnx"
                ranges = Path(scratch) / f"{name}.json"  # those of all its tensors: seen once
                _quantized(path, one, _Reader(feeds), nodes_to_quantize=[node], calibration_cache_path=ranges)
                found.append((_moved(expected, _outputs(one, feeds[-1])), name, weight))
    return sorted(found, reverse=True)


def example_clips(frames: int = 6) -> list[Clip]:
    """What a checkpoint is calibrated by where nothing else is given: clips that the library renders."""
    found = []
    for seed, pond in ((0, None), (3, Pond(followed=2, passing=3))):
        example = render_example(size=(240, 432), frames=frames, seed=seed, pond=pond)
        ids = [k for k in np.unique(example.masks[0]) if k]
        found.append(Clip(example.frames, np.stack([example.masks[0] == k for k in ids])))
    return found


class _Recorder(GraphModel):
    """Keeps what went into its graphs."""

    def __init__(self, manifest: Manifest, folder: Path):
        super().__init__(manifest, folder, None, providers=[CPU])
        self.recorded: dict[str, list[dict[str, np.ndarray]]] = {}

    def _computed(self, name: str, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.recorded.setdefault(name, []).append(feeds)
        return super()._computed(name, feeds)


def _recorded(manifest: Manifest, folder: Path, clips: Sequence[Clip]) -> dict[str, list[dict[str, np.ndarray]]]:
    """What goes into each graph while the clips are followed."""
    model = _Recorder(manifest, folder)
    cpu = torch.device("cpu")
    with torch.inference_mode():
        for frames, masks in clips:
            grid = _grid(manifest, frames.shape[1:3])
            features = model.encode(grid.frame(frames[0], cpu))
            state = model.start(features, None if model.finds_objects else grid.masks(masks, cpu))
            for frame in frames[1:]:
                _, state = model.step(model.encode(grid.frame(frame, cpu)), state)
    return model.recorded


def _grid(manifest: Manifest, video: tuple[int, int]) -> Grid:
    how = manifest.preprocess
    inner = tuple(how["size"]) if how.get("size") else None
    return make_grid(video, short_side=how.get("short_side"), stride=how["stride"], padding=how["padding"], inner=inner)


def _quantized(path: Path, out: Path, reader: _Reader, **options: Sequence[str] | Path) -> None:
    try:
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise VosZooError(f"int8 needs the packages onnx and onnxruntime ({error}): pip install onnx onnxruntime") from error
    with _quietly():
        quantize_static(
            path,
            out,
            reader,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},  # one frame's maps in memory at a time
            op_types_to_quantize=["Conv"],
            **options,
        )


def _outputs(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    found: list[np.ndarray] = onnxruntime().InferenceSession(str(path), providers=[CPU]).run(None, feeds)
    return found


def _moved(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    pairs = [(a, b) for a, b in zip(expected, found, strict=True) if a.dtype == np.float32 and a.size and a.var() > 0]
    return float(np.mean([np.square(a - b).mean() / a.var() for a, b in pairs]))


def _convolutions(path: Path) -> dict[str, str]:
    """The convolutions of a graph by node, and the names of their weights."""
    import onnx

    nodes = onnx.load(str(path), load_external_data=False).graph.node
    return {node.name: node.input[1] for node in nodes if node.op_type == "Conv"}


def _versions(manifest: Manifest) -> dict[str, str]:
    return {**manifest.versions, "onnxruntime": onnxruntime().__version__}


class _Reader:
    """What ONNX Runtime's calibration asks for its inputs."""

    def __init__(self, feeds: Sequence[dict[str, np.ndarray]]):
        self._feeds, self._next = feeds, iter(feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._next = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._next, None)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the tools' advice on the root logger, and what they print."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        logging.disable(before)
