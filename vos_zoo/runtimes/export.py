"""A model written as graphs: FOLDER/config.json, FOLDER/onnx/encode.onnx and its other methods, FOLDER/onnx/export.json.

Frames of any height and width that are multiples of the stride, any number of clips and of objects. `layout.py` says which graphs.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from vos_zoo import __version__
from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.models.base import VOSModel
from vos_zoo.models.parts.folding import folded
from vos_zoo.runtimes.layout import Function, Layout, Method, layout_of
from vos_zoo.runtimes.manifest import FORMATS, MANIFEST_FILE, Graph, GraphFile, Manifest, TensorSpec
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.host import undisturbed_building
from vos_zoo.system.leftovers import contents
from vos_zoo.system.paths import user_path

OPSET = 18  # of ONNX
FOLDED = 1 << 30  # bytes of a constant that is computed beforehand: a share of a weight is as large as the weight
Report = Callable[[str], None]
Module = TypeVar("Module", bound=nn.Module)


def export(
    model: VOSModel,
    config: ModelConfig,
    folder: str | os.PathLike[str],
    *,
    format: str = "onnx",
    overwrite: bool = False,
    report: Report = lambda line: None,
) -> Path:
    """Writes a model's graphs, in float32, and its config.json beside them.

    Args:
        model: in float32, on any device; it stays as it is.
        config: its config, every argument spelt out.
        folder: where to; made if it is missing. One that holds this checkpoint already gets the graphs beside it.
        format: "onnx", or "pt2" for programs of torch.export.
        overwrite: replace graphs that lie there.
        report: told what is being done, a line a graph.

    Returns:
        The folder of the graphs, folder/onnx or folder/pt2.

    Raises:
        VosZooError: the format is unknown, its packages are missing, the weights are rounded, or the model can't be a graph.
        SaveError: the folder holds graphs, or another checkpoint, or can't be written. Nothing half-written is left.
    """
    if format not in FORMATS:
        raise VosZooError(f"format is one of {', '.join(map(repr, FORMATS))}, not {format!r:.80}")
    if format == "onnx":
        check_packages()
    check_precision(model, config)
    place = user_path(folder) / format
    text = config.to_json()
    _check_free(place, text, overwrite)
    with quietly(), undisturbed_building(), torch.no_grad():
        plain = plain_copy(folded(model))
        layout = _layout(plain, config)
        with atomic_write(place, replace_folder=overwrite) as written:
            written.mkdir()
            graphs = {}
            for name, method in layout.methods.items():
                report(f"{config.name}: {name}")
                graphs[name] = write_graph(plain, config, name, method, written / f"{name}{FORMATS[format]}")
            manifest_of(plain, config, layout, graphs, format).write(written)
    if not (place.parent / CONFIG_FILE).exists():
        with atomic_write(place.parent / CONFIG_FILE) as beside:
            beside.write_text(text, encoding="utf-8")
    return place


def check_packages() -> None:
    """VosZooError unless what writes ONNX is installed."""
    try:
        import onnx_ir  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise VosZooError(f"writing ONNX needs the packages onnx and onnxscript ({error}): pip install onnx onnxscript") from error


def check_precision(model: nn.Module, config: ModelConfig) -> None:
    """VosZooError if the weights are not in float32."""
    found = {parameter.dtype for parameter in model.parameters()} - {torch.float32}
    if found:
        rounded = str(found.pop()).removeprefix("torch.")
        raise VosZooError(f"the weights of {config.name} are in {rounded}; graphs are written in float32: load it with dtype='float32'")


def manifest_of(model: VOSModel, config: ModelConfig, layout: Layout, graphs: dict[str, Graph], format: str) -> Manifest:
    """What export.json says of graphs that were written."""
    import timm

    versions = {"vos_zoo": __version__, "torch": torch.__version__.split("+")[0], "timm": timm.__version__}
    if format == "onnx":
        import onnx_ir
        import onnxscript

        versions |= {"onnxscript": onnxscript.__version__, "onnx_ir": onnx_ir.__version__}
    preprocess: dict[str, Any] = {
        "short_side": config.preprocess.short_side,
        "size": config.preprocess.size,
        "stride": model.stride,
        "padding": model.padding,
        "frames": "B, 3, H, W float32 RGB in [0, 1]",
    }
    contract: dict[str, Any] = {
        name: getattr(model, name) for name in ("finds_objects", "needs_first_frame", "independent", "describes", "cell", "objects_at_once")
    }
    if model.finds_objects:
        contract["slots"] = config.model_args["slots"]
    return Manifest(
        format=format,
        name=config.name,
        architecture=config.architecture,
        model_args=dict(config.model_args),
        weights=config.weights.sha256 if config.weights else None,
        preprocess=preprocess,
        contract=contract,
        features=layout.features,
        state=layout.state,
        describe=layout.describe,
        graphs=graphs,
        opset=OPSET if format == "onnx" else None,
        versions=versions,
    )


def _layout(model: VOSModel, config: ModelConfig) -> Layout:
    try:
        return layout_of(model)
    except ValueError as error:
        raise VosZooError(f"{config.name} can't be written as graphs: {error}") from error


def write_graph(model: nn.Module, config: ModelConfig, name: str, method: Method, path: Path) -> Graph:
    """Writes one method of a model as a graph, and says what goes in and out of it. VosZooError if it can't be one."""
    function = Function(model, method.run).eval()
    dynamic = tuple({n: torch.export.Dim.DYNAMIC for n, size in enumerate(spec.shape) if isinstance(size, str)} for spec in method.inputs)
    try:
        program = torch.export.export(function, method.example, dynamic_shapes={"tensors": dynamic}, strict=False,
                                      prefer_deferred_runtime_asserts_over_guards=True)  # fmt: skip
        inputs, outputs = (_write_onnx if path.suffix == ".onnx" else _write_pt2)(program, name, method, path)
    except Exception as error:  # whatever torch makes of a model that looks at numbers in its tensors
        raise VosZooError(f"{config.name} can't be written as a graph: {name}: {str(error).strip()!s:.600}") from error
    return Graph(name, inputs, outputs, {"float32": GraphFile(path.name, sha256_of(path), path.stat().st_size)})


Specs = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]


def _write_onnx(program: torch.export.ExportedProgram, name: str, method: Method, path: Path) -> Specs:
    import onnx_ir as ir
    from onnxscript import optimizer

    made: Any = torch.onnx.export(program, method.example, dynamo=True, opset_version=OPSET, verbose=False)
    model = optimizer.optimize(made.model, onnx_shape_inference=False, input_size_limit=FOLDED, output_size_limit=FOLDED)
    graph = model.graph
    graph.name, graph.doc_string, model.doc_string = name, None, None
    for node in list(graph.all_nodes()):
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if node.graph is graph:
                value.shape = None  # in torch's own letters, which mean nothing beside ours
    model.metadata_props.clear()
    for n, value in enumerate(list(graph.outputs)):
        if value.is_graph_input():  # handed through
            node = ir.node("Identity", [value])
            graph.append(node)
            graph.outputs[n] = node.outputs[0]
            node.outputs[0].type = value.type
    for value, spec in [*zip(graph.inputs, method.inputs, strict=True), *zip(graph.outputs, method.outputs, strict=True)]:
        value.name, value.shape, value.doc_string = spec.name, ir.Shape(spec.shape), None
        value.metadata_props.clear()
    used = [bool(value.uses()) for value in graph.inputs]
    for value, needed in list(zip(graph.inputs, used, strict=True)):
        if not needed:
            graph.inputs.remove(value)
    ir.save(model, path)
    return tuple(spec for spec, needed in zip(method.inputs, used, strict=True) if needed), method.outputs


def _write_pt2(program: torch.export.ExportedProgram, name: str, method: Method, path: Path) -> Specs:
    """Without the exporter's assertions, which would refuse one clip with one object: it takes every size to be 2 or more."""
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    torch.export.save(program, path)
    return method.inputs, method.outputs


def plain_copy(model: Module) -> Module:
    """On the CPU, tensors in the usual order, nothing that learns."""
    plain = copy.deepcopy(model).to("cpu").to(memory_format=torch.contiguous_format)
    for tensor in (*plain.parameters(), *plain.buffers()):
        tensor.requires_grad_(False)
        tensor.data = tensor.data.contiguous()
    return plain.eval()


def _check_free(place: Path, config: str, overwrite: bool) -> None:
    beside = place.parent / CONFIG_FILE
    try:
        if beside.exists() and not _same(beside, config):
            raise SaveError(f"{place.parent} holds the {CONFIG_FILE} of another checkpoint, or of other arguments: choose another folder")
        if not place.exists():
            return
        if not place.is_dir():
            raise SaveError(f"{place} is a file, and a folder is needed: choose another folder")
        found = [each.name for each in contents(place)]
    except OSError as error:
        if isinstance(error, SaveError):
            raise
        raise SaveError(f"can't save to {place}: {error.strerror or error}. Choose another folder") from error
    if found and not overwrite:
        raise SaveError(f"{place} holds {found[0]} already: choose another folder, or pass overwrite=True to replace the graphs")
    if foreign := [name for name in found if name != MANIFEST_FILE and Path(name).suffix not in FORMATS.values()]:
        raise SaveError(f"can't overwrite {place}: besides graphs it holds {foreign[0]}, which would be lost. Choose another folder")


def _same(path: Path, text: str) -> bool:
    """Whether a config.json describes the same checkpoint with the same arguments."""
    found, wanted = ModelConfig.read(path), ModelConfig.from_dict(json.loads(text))
    return (found.architecture, found.weights) == (wanted.architecture, wanted.weights) and all(
        wanted.model_args.get(name) == value or name not in wanted.model_args for name, value in found.model_args.items()
    )


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the exporter's own remarks on what it does."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
