"""Which graphs a checkpoint has: those in its folder, those made before on this machine, or those that are made now.

VOS_ZOO_CACHE names the folder of those made before; without it, it is vos_zoo in the user's folder of caches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from vos_zoo import __version__
from vos_zoo.checkpoints.build import resolved, trained
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.sources import Source
from vos_zoo.errors import CheckpointError, ModelNotFoundError, SaveError, VosZooError, did_you_mean
from vos_zoo.runtimes.export import check_packages, export
from vos_zoo.runtimes.graph_model import GraphModel
from vos_zoo.runtimes.int8 import EXAMPLE, example_clips, quantize
from vos_zoo.runtimes.manifest import MANIFEST_FILE, Manifest
from vos_zoo.runtimes.providers import choose_providers, onnxruntime
from vos_zoo.system.streams import is_terminal, tell

RUNTIMES = ("torch", "onnxruntime")
PRECISIONS = ("float32", "int8")


def check_runtime(runtime: str) -> None:
    """VosZooError unless it is one of RUNTIMES."""
    if runtime not in RUNTIMES:
        near = did_you_mean(runtime, RUNTIMES) if isinstance(runtime, str) else ""
        raise VosZooError(f"runtime is one of {', '.join(map(repr, RUNTIMES))}, not {runtime!r:.80}.{near}")


def graph_model(source: Source, model_args: Mapping[str, Any], *, device: object, dtype: object) -> tuple[GraphModel, ModelConfig]:
    """The model of a checkpoint as graphs that onnxruntime computes; and its config, every argument spelt out.

    Args:
        source: the checkpoint, as `sources.find` gives it.
        model_args: replace arguments of its config.
        device: as `choose_providers` takes it.
        dtype: "auto", "float32" or "int8". Graphs that are in float32 only are quantised, by clips that the library renders.

    Raises:
        VosZooError: onnxruntime or what writes graphs is missing, or has no such device or precision.
        CheckpointError: the checkpoint, or what was exported from it, is corrupt.
    """
    onnxruntime()
    providers, precision = choose_providers(device), _precision(dtype)
    architecture, config = resolved(source.config, model_args, source.label)
    manifest, folder = _found(source, config, precision) or _made(source, model_args, config, precision)
    return GraphModel(manifest, folder, architecture.Config(**config.model_args), providers=providers, precision=precision), config


def cache_folder() -> Path:
    """Where graphs are kept that were made on this machine."""
    if own := os.environ.get("VOS_ZOO_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "vos_zoo"


def _precision(dtype: object) -> str:
    name = str(dtype).removeprefix("torch.")
    if name == "auto":
        return "float32"
    if name not in PRECISIONS:
        raise VosZooError(f"with runtime='onnxruntime' dtype is 'auto', {' or '.join(map(repr, PRECISIONS))}, not {name!r:.80}")
    return name


def _found(source: Source, config: ModelConfig, precision: str) -> tuple[Manifest, Path] | None:
    """Graphs in the checkpoint's own folder or repository."""
    folder = source.folder / "onnx"
    if source.fetch is not None:
        return _fetched(source.fetch, config, precision)
    if not (folder / MANIFEST_FILE).is_file():
        return None
    manifest = Manifest.read(folder)
    if manifest.is_of(config):
        return (manifest, folder) if precision in manifest.precisions else None
    if config.weights and manifest.weights != config.weights.sha256:
        raise CheckpointError(f"{folder} was exported from other weights than {source.label} names: export it again, with --overwrite")
    return None


def _fetched(fetch: Callable[[str, int | None], Path], config: ModelConfig, precision: str) -> tuple[Manifest, Path] | None:
    """Graphs in a repository on the Hub; None where it has none of this checkpoint in this precision, or they can't be fetched."""
    try:
        folder = fetch(f"onnx/{MANIFEST_FILE}", None).parent
    except ModelNotFoundError:
        return None
    manifest = Manifest.read(folder)
    if not manifest.is_of(config) or precision not in manifest.precisions:
        return None
    for graph in manifest.graphs.values():
        file = graph.files[precision]
        fetch(f"onnx/{file.file}", file.bytes)
    return manifest, folder


def _made(source: Source, model_args: Mapping[str, Any], config: ModelConfig, precision: str) -> tuple[Manifest, Path]:
    """Graphs in the cache, where they are written unless they are there."""
    said = {"weights": config.weights.sha256 if config.weights else None, "vos_zoo": __version__, "arguments": config.model_args}
    folder = cache_folder() / "graphs" / f"{config.name}-{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]}"
    graphs = folder / "onnx"
    if not _holds(graphs, precision):
        check_packages()
        with _alone(folder, config):
            if not _holds(graphs, "float32"):
                _say(f"writing the graphs of {config.name} to {folder}, once")
                model, config = trained(source, model_args)
                export(model, config, folder)
            if not _holds(graphs, precision):
                _say(f"calibrating the graphs of {config.name}, once")
                quantize(graphs, example_clips(), said=EXAMPLE)
    return Manifest.read(graphs), graphs


def _holds(folder: Path, precision: str) -> bool:
    return (folder / MANIFEST_FILE).is_file() and precision in Manifest.read(folder).precisions


@contextlib.contextmanager
def _alone(folder: Path, config: ModelConfig) -> Iterator[None]:
    """Other processes that want the same graphs wait."""
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise SaveError(
            f"graphs of {config.name} can't be kept in {folder} ({error.strerror or error}): set VOS_ZOO_CACHE to a folder of yours"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _say(what: str) -> None:
    if is_terminal(sys.stderr):
        tell(f"{what} ...")
