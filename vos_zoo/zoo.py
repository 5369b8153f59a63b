"""From a name, a folder or a Hub repository to a Segmenter, and back to a folder.

    name | folder | owner/repo -> config -> architecture and its arguments -> weights, checked -> Segmenter

The order is the safety: a config can only name a class that lies in vos_zoo/models/; its arguments are
checked before the model is built; the model is built without memory before the weights are fetched; what they
may weigh at most follows from it; and their header is compared with it before a tensor is read. Imports no torch
until a model is built. Where a checkpoint is found, and its files, is in sources.py.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.checkpoints import catalogue, shards, sources, weights
from vos_zoo.checkpoints.catalogue import ModelInfo, did_you_mean
from vos_zoo.checkpoints.config import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, ModelConfig, Shard, WeightsFile, checked_args
from vos_zoo.checkpoints.sources import Access, Source
from vos_zoo.errors import CheckpointError, SaveError, VosZooError
from vos_zoo.system.atomic import atomic_write

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel
    from vos_zoo.segmenter import Segmenter

MAX_PARAMETERS = 10**9
MAX_SHARD_BYTES = 5 * 10**9
_LOAD_ARGUMENTS = ("device", "dtype", "revision", "token", "local_files_only", "cache_dir", "redetection")
_MODELS = Path(__file__).resolve().parent / "models"
_NOT_ARCHITECTURES = {"__init__", "base", "flops"}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    device: Any = "auto",
    dtype: Any = "auto",
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    redetection: bool = True,
    **model_args: Any,
) -> Segmenter:
    """Loads a trained model, ready to propagate masks.

    name_or_path: looked up in this order: a folder with config.json and its weights; a name of
        `list_models()`, whose weights come with the library or are fetched from the commit that its config
        pins; "owner/repo" on the Hugging Face Hub. Several of these joined by "+", as in "crvos+scm", decide
        together: the same as `ensemble([load("crvos"), load("scm")])`.
    device, dtype: as in Segmenter; "auto" takes the best that is there.
    revision: branch, tag or commit of a Hub repository.
    token: access token for the Hub; None takes HF_TOKEN or the saved login, False sends none.
    local_files_only: True takes what lies on the Hub from the cache, without the network; HF_HUB_OFFLINE=1 does so for all.
    cache_dir: where files from the Hub are kept; None is the Hub's own cache (HF_HOME).
    redetection: True lets a checkpoint that names one in its config have another shipped one's features, or its own, find lost objects
        again by their looks, and take masks away that lie on something else (`redetection.py`); False leaves all to the model.
    model_args: replace arguments of the config, for instance `background="prod"`; checked against the
        model's own. They and `revision` are for one model, not for several that are joined.

    Raises ModelNotFoundError when there is no such model, or none with weights, and CheckpointError when
    config or weights are corrupt, do not fit each other, or hold NaN. Only safetensors is read; no code comes
    from a checkpoint.
    """
    access = Access(revision, token, local_files_only, cache_dir)
    return load_together(sources.joined(name_or_path), access, device=device, dtype=dtype, redetection=redetection, **model_args)


def load_together(
    names: Sequence[str | os.PathLike[str]],
    access: Access | None = None,
    *,
    device: Any = "auto",
    dtype: Any = "auto",
    redetection: bool = True,
    **model_args: Any,
) -> Segmenter:
    """`load` for names that are taken apart; several are an ensemble. All are found before one is built."""
    access = access or Access()
    of_one = [*model_args, *(["revision"] if access.revision is not None else [])]
    if len(names) > 1 and of_one:
        raise VosZooError(
            f"{', '.join(of_one)} can be given for one model, and {'+'.join(map(str, names))} are {len(names)}: load each by itself and "
            "join them, ensemble([load(...), load(...)])"
        )
    found = [sources.find(name, access) for name in names]
    describers = [_describer(source, access) if redetection else None for source in found]
    loaded = [
        load_source(source, describer=describer, device=device, dtype=dtype, **model_args)
        for source, describer in zip(found, describers, strict=True)
    ]
    if len(loaded) == 1:
        return loaded[0]
    from vos_zoo.ensembles import ensemble

    return ensemble(loaded)


def load_source(
    source: Source, *, describer: Source | None = None, device: Any = "auto", dtype: Any = "auto", **model_args: Any
) -> Segmenter:
    """`load` for a checkpoint that has been found. describer: whose features find lost objects again; the same one, its own."""
    if source.config.weights is None:
        raise source.lacks_weights()
    architecture, config = _resolve(source.config, model_args, source.label)
    outline = _build_without_memory(architecture, config, source.label)
    weights.check_size(outline, source.config.weights, source.label)
    paths = source.files()
    weights.check_fit(outline, *paths)
    other = None if describer is None or describer is source else load_source(describer, device=device, dtype=dtype)
    model = _build_quietly(architecture, config)
    weights.load_weights(model, *paths)
    return _segmenter(model, config, device=device, dtype=dtype, redetection=other or describer is source)


def create(
    name_or_path: str | os.PathLike[str] | ModelConfig, *, device: Any = "auto", dtype: Any = "auto", **model_args: Any
) -> Segmenter:
    """Builds a model of the given name, folder or config with random weights: the start of a training.

    The Hub is not asked. Raises ModelNotFoundError when there is no such config here, CheckpointError when it
    or model_args are wrong.
    """
    if isinstance(name_or_path, ModelConfig):
        config, label = name_or_path, f"the config {name_or_path.name!r}"
    else:
        source = sources.find(name_or_path, use_hub=False)
        config, label = source.config, source.label
    architecture, config = _resolve(config, model_args, label)
    _build_without_memory(architecture, config, label)
    model = architecture(architecture.Config(**config.model_args))
    return _segmenter(model, config.replace(weights=None, metrics=[]), device=device, dtype=dtype)


def list_models(pattern: str = "*") -> list[ModelInfo]:
    """The models that come with the library, as rows that print readably.

    for row in list_models("cr*"): print(row)
    """
    return catalogue.rows(pattern)


def download(
    name_or_path: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> list[Path]:
    """Fetches a checkpoint, so that `load` finds it without the network, and gives its weights' paths.

    Arguments and errors are those of `load`; size and SHA-256 are verified. A checkpoint that is here already costs nothing.
    """
    access = Access(revision, token, local_files_only, cache_dir)
    found = [sources.find(name, access) for name in sources.joined(name_or_path)]
    for source in found:
        architecture_class(source.config.architecture)
    for describer in [_describer(source, access) for source in found]:
        if describer is not None and describer.config.name not in {source.config.name for source in found}:
            found.append(describer)
    return [path for source in found for path in source.files()]


def save(
    segmenter: Segmenter,
    folder: str | os.PathLike[str],
    *,
    dtype: str | None = "float16",
    overwrite: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Writes model.safetensors and config.json (with its SHA-256), so that `load(folder)` reads them back.

    dtype: of the stored floating-point weights; None keeps them as they are.
    max_shard_bytes: more than these are written as model-00001-of-0000N.safetensors with model.safetensors.index.json.
    Returns the folder. Raises SaveError when the folder holds a checkpoint already (and not `overwrite`) or can't be
    written, CheckpointError when the model holds NaN. Nothing half-written is left.
    """
    folder = Path(folder).expanduser()
    present = [name for name in (WEIGHTS_FILE, INDEX_FILE, CONFIG_FILE) if (folder / name).exists()]
    if present and not overwrite:
        raise SaveError(
            f"{folder} holds {' and '.join(present)} already. Choose another folder, or pass overwrite=True to replace the checkpoint."
        )
    if folder.exists() and not folder.is_dir():
        raise SaveError(f"{folder} is a file; give the folder to save in.")
    state = weights.stored_state(segmenter.model, dtype)
    sizes = {name: each.numel() * each.element_size() for name, each in state.items()}
    groups = shards.split(sizes, max_shard_bytes)
    names = [WEIGHTS_FILE] if len(groups) == 1 else [INDEX_FILE, *shards.shard_names(len(groups))]
    # All are complete before any gets its name.
    with contextlib.ExitStack() as files:
        config_path, *paths = [files.enter_context(atomic_write(folder / name)) for name in (CONFIG_FILE, *names)]
        if len(groups) > 1:
            shards.write_index(paths[0], groups, sizes)
        for path, group in zip(paths[-len(groups) :], groups, strict=True):
            weights.write_state({name: state[name] for name in group}, path)
        _write_config(segmenter, config_path, names, paths)
    for path in shards.stale_files(folder, set(names)) if overwrite else ():
        path.unlink()
    return folder


def architectures() -> dict[str, Callable[[], type[VOSModel]]]:
    """Every architecture by class name, with a function that imports it: models/crvos.py holds class CRVOS.

    Found by reading the files, so that no model and no torch is imported before it is needed.
    """
    found: dict[str, Callable[[], type[VOSModel]]] = {}
    for path in sorted(_MODELS.glob("*.py")):
        if path.stem in _NOT_ARCHITECTURES:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem.replace("_", ""):
                found[node.name] = functools.partial(_import_architecture, path.stem, node.name)
    return found


def architecture_class(name: str) -> type[VOSModel]:
    """The model class that a config's "architecture" names. CheckpointError lists those known."""
    known = architectures()
    if name not in known:
        raise CheckpointError(
            f"unknown architecture {name!r}. Known: {', '.join(sorted(known)) or 'none'}."
            f"{did_you_mean(name, known)} A newer vos_zoo may know more: "
            "pip install --upgrade vos_zoo"
        )
    return known[name]()


def _resolve(config: ModelConfig, overrides: Mapping[str, Any], label: str) -> tuple[type[VOSModel], ModelConfig]:
    """The class, and the config with every model argument spelt out, defaults included."""
    try:
        architecture = architecture_class(config.architecture)
    except CheckpointError as error:
        raise CheckpointError(f"{label}: {error}") from error
    known = [each.name for each in dataclasses.fields(architecture.Config)]
    for name in overrides:
        if name not in known:
            raise CheckpointError(
                f"{name!r} is an argument neither of load() nor of {config.architecture}."
                f"{did_you_mean(name, [*known, *_LOAD_ARGUMENTS])} "
                f"{config.architecture} knows {', '.join(sorted(known))}."
            )
    args = checked_args(architecture.Config, {**config.model_args, **overrides}, source=label)
    try:
        arguments = architecture.Config(**args)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{label}: model_args of {config.architecture}: {str(error):.1000}") from error
    return architecture, config.replace(model_args=dataclasses.asdict(arguments))


def _build_without_memory(architecture: type[VOSModel], config: ModelConfig, label: str) -> VOSModel:
    import torch

    try:
        with torch.device("meta"):
            model = architecture(architecture.Config(**config.model_args))
    except VosZooError:
        raise
    except Exception as error:  # whatever a wrong argument makes of torch and timm
        raise CheckpointError(f"{label}: {config.architecture} can't be built with these model_args: {str(error):.1000}") from error
    parameters = sum(each.numel() for each in model.state_dict().values())
    if parameters > MAX_PARAMETERS:
        raise CheckpointError(
            f"{label}: its model_args make a {config.architecture} of {parameters:,} "
            f"values; at most {MAX_PARAMETERS:,} are allowed. Correct the model_args."
        )
    return model


def _build_quietly(architecture: type[VOSModel], config: ModelConfig) -> VOSModel:
    """Random weights are about to be overwritten: the caller's random state stays as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return architecture(architecture.Config(**config.model_args))


def _describer(source: Source, access: Access) -> Source | None:
    """Whose features find lost objects again, as the config says: none, the checkpoint itself, or another that comes with the library.

    No config can have anything else fetched.
    """
    name = source.config.redetection
    if name is None or name == source.config.name:
        return None if name is None else source
    if name not in catalogue.names():
        raise CheckpointError(
            f"{source.label}: redetection names {name!r}, which does not come with this vos_zoo.{did_you_mean(name, catalogue.names())} "
            "A newer one may have it; without it: load(..., redetection=False)"
        )
    return sources.shipped(name, dataclasses.replace(access, revision=None))


def _segmenter(model: VOSModel, config: ModelConfig, *, device: Any, dtype: Any, redetection: Segmenter | bool = False) -> Segmenter:
    from vos_zoo.segmenter import Segmenter

    return Segmenter(model.eval(), config, device=device, dtype=dtype, redetection=redetection)


def _write_config(segmenter: Segmenter, config_path: Path, names: list[str], paths: list[Path]) -> None:
    stored = [Shard(name, weights.sha256_of(path), path.stat().st_size) for name, path in zip(names, paths, strict=True)]
    dtypes = {weights.stored_dtype(weights.read_header(path)) for path in (paths[1:] or paths)}
    first = stored[0]
    entry = WeightsFile(first.file, first.sha256, first.bytes, dtypes.pop() if len(dtypes) == 1 else "mixed", tuple(stored[1:]))
    parameters = sum(each.numel() for each in segmenter.model.parameters())
    config = segmenter.config.replace(weights=entry, parameters=parameters)
    ModelConfig.from_dict(config.to_dict(), source="the config to save")
    config_path.write_text(config.to_json(), encoding="utf-8")


def _import_architecture(module: str, name: str) -> type[VOSModel]:
    return getattr(importlib.import_module(f"vos_zoo.models.{module}"), name)
