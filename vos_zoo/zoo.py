"""From a name, a folder or a Hub repository to a Segmenter, and back to a folder.

    name | folder | owner/repo -> config -> architecture and its arguments -> weights, checked -> Segmenter

The order is the safety: a config can only name a class that lies in vos_zoo/models/; its arguments are
checked before the model is built; the model is built without memory before the weights are fetched; and the
weights' header is compared with it before a tensor is read. Imports no torch until a model is built.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo import catalogue, hub, weights
from vos_zoo.catalogue import ModelInfo, did_you_mean
from vos_zoo.config import CONFIG_FILE, WEIGHTS_FILE, ModelConfig, WeightsFile, checked_args
from vos_zoo.errors import CheckpointError, ModelNotFoundError, SaveError, VosZooError
from vos_zoo.io.atomic import atomic_write

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel
    from vos_zoo.segmenter import Segmenter

MAX_PARAMETERS = 10**9
_LOAD_ARGUMENTS = ("device", "dtype", "revision", "token", "local_files_only")
_MODELS = Path(__file__).resolve().parent / "models"
_NOT_ARCHITECTURES = {"__init__", "base", "backbones"}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    device: Any = "auto",
    dtype: Any = "auto",
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    **model_args: Any,
) -> Segmenter:
    """Loads a trained model, ready to propagate masks.

    name_or_path: looked up in this order: a folder with config.json and its weights; a name of
        `list_models()` whose weights come with the library; "owner/repo" on the Hugging Face Hub.
    device, dtype: as in Segmenter; "auto" takes the best that is there.
    revision: branch, tag or commit of a Hub repository.
    token: access token for the Hub; None takes HF_TOKEN or the saved login, False sends none.
    local_files_only: True takes a Hub repository from the cache, without the network.
    model_args: replace arguments of the config, for instance `background="prod"`; checked against the
        model's own.

    Raises ModelNotFoundError when there is no such model, or none with weights, and CheckpointError when
    config or weights are corrupt, do not fit each other, or hold NaN. Only safetensors is read; no code comes
    from a checkpoint.
    """
    source = _find(name_or_path, revision=revision, token=token, local_files_only=local_files_only)
    if source.config.weights is None:
        raise ModelNotFoundError(_without_weights(source))
    architecture, config = _resolve(source.config, model_args, source.label)
    outline = _build_without_memory(architecture, config, source.label)
    path = source.weights()
    weights.verify_file(path, source.config.weights)
    weights.check_fit(outline, path)
    model = _build_quietly(architecture, config)
    weights.load_weights(model, path)
    return _segmenter(model, config, device=device, dtype=dtype)


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
        source = _find(name_or_path, use_hub=False)
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


def save(segmenter: Segmenter, folder: str | os.PathLike[str], *, dtype: str | None = "float16", overwrite: bool = False) -> Path:
    """Writes model.safetensors and config.json (with its SHA-256), so that `load(folder)` reads them back.

    dtype: of the stored floating-point weights; None keeps them as they are. Returns the folder.
    Raises SaveError when the folder holds a checkpoint already (and not `overwrite`) or can't be written,
    CheckpointError when the model holds NaN. Nothing half-written is left.
    """
    folder = Path(folder).expanduser()
    weights_path, config_path = folder / WEIGHTS_FILE, folder / CONFIG_FILE
    present = [path.name for path in (weights_path, config_path) if path.exists()]
    if present and not overwrite:
        raise SaveError(
            f"{folder} holds {' and '.join(present)} already. Choose another folder, or pass overwrite=True to replace the checkpoint."
        )
    if folder.exists() and not folder.is_dir():
        raise SaveError(f"{folder} is a file; give the folder to save in.")
    # Both are complete before either gets its name.
    with atomic_write(weights_path) as new_weights, atomic_write(config_path) as new_config:
        _write(segmenter, new_weights, new_config, dtype)
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


@dataclass(frozen=True)
class _Source:
    """A checkpoint that was found, its config read."""

    label: str  # how messages call it
    config: ModelConfig
    weights: Callable[[], Path]  # finds or fetches the file; called when the config has been checked
    shipped: bool = False


def _find(
    name_or_path: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    use_hub: bool = True,
) -> _Source:
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ModelNotFoundError(
            f"a model is named by a string or a path, not by {name_or_path!r:.80}. Shipped: {', '.join(catalogue.names())}."
        )
    text = os.fspath(name_or_path)
    path = Path(os.path.expanduser(text))
    if text and os.path.isfile(path / CONFIG_FILE):
        _refuse_revision(revision, f"{text!r} is a folder here")
        return _in_folder(path)
    if isinstance(name_or_path, str) and "/" not in text and text in catalogue.names():
        _refuse_revision(revision, f"{text!r} comes with the library")
        return _shipped(text)
    if text and os.path.isdir(path):
        raise CheckpointError(_about_folder(path))
    if text and os.path.exists(path):
        raise CheckpointError(_about_file(path))
    if isinstance(name_or_path, str) and hub.is_repo_id(text) and path.suffix not in _FILE_SUFFIXES:
        if not use_hub:
            raise ModelNotFoundError(
                f"no folder {text!r} here, and the Hub is asked by `load` only. Shipped: {', '.join(catalogue.names())}."
            )
        return _on_hub(text, revision, token, local_files_only)
    if not isinstance(name_or_path, str) or _looks_like_path(text):
        raise ModelNotFoundError(
            f"no folder {str(path)!r} (looked from {os.getcwd()}). Give a folder that "
            f"holds {CONFIG_FILE} and {WEIGHTS_FILE}, a name of list_models(), or "
            "owner/repo on the Hub."
        )
    raise ModelNotFoundError(
        f"no model is called {text!r}.{did_you_mean(text, catalogue.names())} "
        f"Shipped: {', '.join(catalogue.names()) or 'none'}. "
        "Others are given as a folder, or as owner/repo on the Hub."
    )


def _in_folder(folder: Path) -> _Source:
    config = ModelConfig.read(folder / CONFIG_FILE)
    return _Source(str(folder / CONFIG_FILE), config, functools.partial(_beside, folder, config))


def _shipped(name: str) -> _Source:
    folder, config = catalogue.folder() / name, catalogue.read(name)
    return _Source(str(folder / CONFIG_FILE), config, functools.partial(_beside, folder, config), True)


def _on_hub(repo_id: str, revision: str | None, token: str | bool | None, local_files_only: bool) -> _Source:
    fetch = functools.partial(hub.fetch, repo_id, token=token, local_files_only=local_files_only)
    config_path = fetch(CONFIG_FILE, revision=revision)
    config = ModelConfig.read(config_path)
    commit = hub.commit_of(config_path) or revision
    return _Source(
        f"{CONFIG_FILE} of {repo_id!r}", config, lambda: fetch(config.weights.file if config.weights else WEIGHTS_FILE, revision=commit)
    )


def _beside(folder: Path, config: ModelConfig) -> Path:
    file = config.weights.file if config.weights else WEIGHTS_FILE
    if not (folder / file).is_file():
        raise CheckpointError(
            f"{folder / CONFIG_FILE} names {file}, which is not beside it."
            f"{_pickles_in(folder)} Put the file there, or save the checkpoint anew with "
            "save_pretrained."
        )
    return folder / file


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
        raise CheckpointError(f"{label}: model_args of {config.architecture}: {error}") from error
    return architecture, config.replace(model_args=dataclasses.asdict(arguments))


def _build_without_memory(architecture: type[VOSModel], config: ModelConfig, label: str) -> VOSModel:
    import torch

    try:
        with torch.device("meta"):
            model = architecture(architecture.Config(**config.model_args))
    except VosZooError:
        raise
    except Exception as error:  # whatever a wrong argument makes of torch and timm
        raise CheckpointError(f"{label}: {config.architecture} can't be built with these model_args: {error}") from error
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


def _segmenter(model: VOSModel, config: ModelConfig, *, device: Any, dtype: Any) -> Segmenter:
    from vos_zoo.segmenter import Segmenter

    return Segmenter(model.eval(), config, device=device, dtype=dtype)


def _write(segmenter: Segmenter, weights_path: Path, config_path: Path, dtype: str | None) -> None:
    weights.write_weights(segmenter.model, weights_path, dtype=dtype)
    entry = WeightsFile(
        WEIGHTS_FILE, weights.sha256_of(weights_path), weights_path.stat().st_size, weights.stored_dtype(weights.read_header(weights_path))
    )
    parameters = sum(each.numel() for each in segmenter.model.parameters())
    config = segmenter.config.replace(weights=entry, parameters=parameters)
    ModelConfig.from_dict(config.to_dict(), source="the config to save")
    config_path.write_text(config.to_json(), encoding="utf-8")


def _import_architecture(module: str, name: str) -> type[VOSModel]:
    return getattr(importlib.import_module(f"vos_zoo.models.{module}"), name)


def _without_weights(source: _Source) -> str:
    name = source.config.name
    if not source.shipped:
        return (
            f'{source.label} describes {name!r} without weights ("weights" is null). Take a checkpoint '
            "that has them, or save yours with save_pretrained, which writes both files."
        )
    recipe = catalogue.folder() / name / "recipe.yaml"
    train = f"train it by its recipe ({recipe})" if recipe.is_file() else "train it by its recipe"
    ready = [row.name for row in catalogue.rows() if row.has_weights]
    return (
        f"{name!r} has a config but no weights yet. Two ways to get them: {train}, starting from "
        f"vos_zoo.create({name!r}), which builds it untrained; or convert the authors' published file to "
        "a folder with config.json and model.safetensors, and load that folder. Ready to use: "
        f"{', '.join(ready) or 'none yet'}."
    )


_FILE_SUFFIXES = weights.PICKLE_SUFFIXES | {".safetensors", ".json"}


def _about_folder(folder: Path) -> str:
    return (
        f"the folder {folder} holds no {CONFIG_FILE}, so it is no checkpoint of vos_zoo."
        f"{_pickles_in(folder)} A checkpoint is {CONFIG_FILE} with {WEIGHTS_FILE} beside it, as "
        "save_pretrained writes it."
    )


def _pickles_in(folder: Path) -> str:
    found = sorted(each.name for each in folder.iterdir() if each.suffix in weights.PICKLE_SUFFIXES)
    return f" It holds {', '.join(found[:3])}. {weights.ONLY_SAFETENSORS}." if found else ""


def _about_file(path: Path) -> str:
    if path.suffix == ".safetensors" or path.name == CONFIG_FILE:
        return f"{path} is one file of a checkpoint. Give the folder that holds {CONFIG_FILE} and the weights: load({str(path.parent)!r})"
    if path.suffix in weights.PICKLE_SUFFIXES:
        return f"{path} is not loaded. {weights.ONLY_SAFETENSORS}, and load the folder that holds it."
    return f"{path} is a file, not a checkpoint. Give the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}."


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "~", "/")) or "/" in text or "\\" in text or text.endswith(os.sep) or Path(text).suffix in _FILE_SUFFIXES


def _refuse_revision(revision: str | None, why: str) -> None:
    if revision is not None:
        raise ModelNotFoundError(f"revision={revision!r} chooses a version of a Hub repository, but {why}. Leave it out.")
