"""The names under which models are asked for: load, create, list_models, download.

    name | folder | owner/repo -> checkpoints/sources.py -> checkpoints/build.py -> Segmenter

Imports no torch until a model is built.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.checkpoints import catalogue, sources
from vos_zoo.checkpoints.catalogue import ModelInfo
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.quality import quality_of
from vos_zoo.checkpoints.sources import Access
from vos_zoo.errors import VosZooError
from vos_zoo.models.discovery import architecture_class

if TYPE_CHECKING:
    from vos_zoo.segmenter import Segmenter
    from vos_zoo.system.devices import DeviceLike, DTypeLike


def load(
    name_or_path: str | os.PathLike[str],
    *,
    device: DeviceLike = "auto",
    dtype: DTypeLike = "auto",
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    redetection: bool = True,
    runtime: str = "torch",
    quality: str = "normal",
    **model_args: object,
) -> Segmenter:
    """Loads a trained model, ready to propagate masks.

    Example:
        >>> import vos_zoo
        >>> vos_zoo.load("crvos", device="cpu", dtype="float32")
        <Segmenter crvos (CRVOS) on cpu, float32>

    Args:
        name_or_path: looked up in this order: a folder with config.json and its weights; a name of
            `list_models()`, whose weights come with the library or are fetched from the commit that its config
            pins; "owner/repo" on the Hugging Face Hub. Several of these joined by "+", as in "crvos+scm", decide
            together: the same as `ensemble([load("crvos"), load("scm")])`.
        device: as in Segmenter; "auto" takes the best that is there.
        dtype: as in Segmenter.
        revision: branch, tag or commit of a Hub repository.
        token: access token for the Hub; None takes HF_TOKEN or the saved login, False sends none.
        local_files_only: True takes what lies on the Hub from the cache, without the network; HF_HUB_OFFLINE=1 does so for all.
        cache_dir: where files from the Hub are kept; None is the Hub's own cache (HF_HOME).
        redetection: True lets a checkpoint that names one in its config have another shipped one's features, or its own, find lost objects
            again by their looks, and cut what leaked or lies on something else (`engine/redetection.py`); False leaves all to the model.
        runtime: what computes the model: "torch", or "onnxruntime", which runs its graphs (see `Segmenter.export`). A checkpoint without
            graphs gets them when it is first loaded so, in a folder of caches (VOS_ZOO_CACHE). device is then "auto", "cpu", "cuda",
            "directml" or another of onnxruntime's execution providers; dtype is "auto", "float32" or "int8".
        quality: "normal"; "fast", frames are five eighths as large inside the model, in under half the time; "best", they are a quarter
            larger where that helps the model, and `propagate`, `stream` and `start` first adapt a copy of it to the annotated frames.
            docs/concepts/quality.md has what each costs and gives.
        model_args: replace arguments of the config, for instance `background="prod"`; checked against the
            model's own. They and `revision` are for one model, not for several that are joined.

    Raises:
        ModelNotFoundError: there is no such model, or none with weights.
        CheckpointError: config or weights are corrupt, do not fit each other, or hold NaN. Only safetensors is read; no code comes
            from a checkpoint.
    """
    access = Access(revision, token, local_files_only, cache_dir)
    names = sources.joined(name_or_path)
    return load_together(names, access, device=device, dtype=dtype, redetection=redetection, runtime=runtime, quality=quality, **model_args)


def load_together(
    names: Sequence[str | os.PathLike[str]],
    access: Access | None = None,
    *,
    device: DeviceLike = "auto",
    dtype: DTypeLike = "auto",
    redetection: bool = True,
    runtime: str = "torch",
    quality: str = "normal",
    **model_args: object,
) -> Segmenter:
    """`load` for names that are taken apart; several are an ensemble. All are found before one is built."""
    quality_of(quality, runtime)
    access = access or Access()
    of_one = [*model_args, *(["revision"] if access.revision is not None else [])]
    if len(names) > 1 and of_one:
        raise VosZooError(
            f"{', '.join(of_one)} can be given for one model, and {'+'.join(map(str, names))} are {len(names)}: load each by itself and "
            "join them, ensemble([load(...), load(...)])"
        )
    found = [sources.find(name, access) for name in names]
    describers = [sources.describer(source, access) if redetection else None for source in found]
    from vos_zoo.segmenter import Segmenter

    loaded = [
        Segmenter.from_source(source, describer=describer, device=device, dtype=dtype, runtime=runtime, quality=quality, **model_args)
        for source, describer in zip(found, describers, strict=True)
    ]
    if len(loaded) == 1:
        return loaded[0]
    from vos_zoo.ensembles import ensemble

    return ensemble(loaded)


def create(
    name_or_path: str | os.PathLike[str] | ModelConfig, *, device: DeviceLike = "auto", dtype: DTypeLike = "auto", **model_args: object
) -> Segmenter:
    """Builds a model of the given name, folder or config with random weights: the start of a training.

    Example:
        >>> import vos_zoo
        >>> vos_zoo.create("crvos", background="prod").info()["model_args"]["background"]
        'prod'

    Args:
        name_or_path: as in `load`, but the Hub is not asked; or a config.
        device: as in Segmenter.
        dtype: as in Segmenter.
        model_args: replace arguments of the config.

    Raises:
        ModelNotFoundError: there is no such config here.
        CheckpointError: it or model_args are wrong.
    """
    if isinstance(name_or_path, ModelConfig):
        config, label = name_or_path, None
    else:
        source = sources.find(name_or_path, use_hub=False)
        config, label = source.config, source.label
    from vos_zoo.checkpoints.build import check_follows, untrained
    from vos_zoo.segmenter import Segmenter

    check_follows(config)
    model, config = untrained(config, model_args, label=label)
    return Segmenter(model, config, device=device, dtype=dtype)


def list_models(pattern: str = "*") -> list[ModelInfo]:
    """The models that come with the library, as rows that print readably.

    Example:
        >>> import vos_zoo
        >>> for row in vos_zoo.list_models("crvos*"):
        ...     print(row.name, row.has_weights)
        crvos True
        crvos-resnet18 True
        crvos-resnet50 False
        crvos-stills True
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
    for describer in [sources.describer(source, access) for source in found]:
        if describer is not None and describer.config.name not in {source.config.name for source in found}:
            found.append(describer)
    return [piece.path for source in found for piece in source.files()]
