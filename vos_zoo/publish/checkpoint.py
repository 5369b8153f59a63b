"""A checkpoint folder, checked from its config to a trial run, and made ready to be sent."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.checkpoints.card import CARD_FILE, PIPELINE_TAG, SECTIONS, folder_card, scores, split_card
from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig
from vos_zoo.checkpoints.shared import write_whole
from vos_zoo.checkpoints.sources import in_folder
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import PublishError
from vos_zoo.publish.parcel import PICTURES, Item, Load, Parcel, checked_repo_id, is_left_out, problems_of, problems_of_text, refuse, walk
from vos_zoo.runtimes.manifest import MANIFEST_FILE, Manifest
from vos_zoo.system.paths import user_path

if TYPE_CHECKING:
    from vos_zoo.segmenter import Segmenter

ALLOWED = (
    "config.json, README.md, model*.safetensors with its index, recipe*.yaml, LICENSE, pictures (.png, .jpg, .webp, .gif), "
    "and graphs in onnx/ with their export.json"
)
_ALLOWED = re.compile(
    r"config\.json|README\.md|model[\w.-]*\.safetensors(\.index\.json)?|recipe[\w.-]*\.ya?ml|LICENSE(\.md|\.txt)?"
    r"|onnx/(export\.json|[\w.-]+\.onnx)"
)


def checkpoint_parcel(folder: str | Path, repo_id: str, *, load: Load) -> Parcel:
    """Everything that a checkpoint's repository gets.

    load: makes a Segmenter of a checkpoint that has been found, for the trial run.
    A card that the generator wrote, or a missing one, is written anew with `repo_id` in its snippet; a card written by hand is sent as it
    is if it is complete. Raises PublishError that lists what is wrong with files, config and card; CheckpointError when the weights are
    not what the config says, do not load strictly, or give no masks on a trial clip.
    """
    checked_repo_id(repo_id)
    folder = user_path(folder, PublishError)
    if not (folder / CONFIG_FILE).is_file():
        raise PublishError(f"{folder} holds no {CONFIG_FILE}, so it is no checkpoint. Give the folder that save_pretrained wrote.")
    config = ModelConfig.read(folder / CONFIG_FILE)
    if config.weights is not None and config.weights.shared is not None:
        return _whole_parcel(folder, repo_id, load)
    found = dict(walk(folder))
    left_out = tuple(path for path in found if is_left_out(path))
    files = {path: file for path, file in found.items() if path not in left_out}
    refuse((problem for path, file in files.items() for problem in [*_not_allowed(path), *problems_of(path, file)]), folder)
    card = _card(folder, repo_id)
    refuse(
        [
            *_problems_of_config(config, files),
            *_problems_of_graphs(config, files),
            *problems_of_text(CARD_FILE, card.encode()),
            *_problems_of_card(card, config),
        ],
        folder,
    )

    segmenter = load(in_folder(folder), device="cpu", dtype="float32")
    refuse(_problems_of_model(segmenter, config), folder)
    try_it(segmenter)
    items = [Item.of(path, file) for path, file in files.items() if path != CARD_FILE]
    items.append(Item.of(CARD_FILE, card.encode()))
    notes = () if config.metrics else ("nothing has been measured yet: tools/make_card.py --scores records what vos-zoo evaluate printed",)
    return Parcel(repo_id, "model", tuple(sorted(items, key=lambda item: item.path)), left_out, notes)


def _whole_parcel(folder: Path, repo_id: str, load: Load) -> Parcel:
    """That of a checkpoint whose trunk is stored once for several: the Hub gets its weights whole."""
    with tempfile.TemporaryDirectory() as temporary:
        parcel = checkpoint_parcel(write_whole(folder, Path(temporary) / folder.name), repo_id, load=load)
        items = [each if isinstance(each.content, bytes) else Item.of(each.path, each.content.read_bytes()) for each in parcel.items]
        return dataclasses.replace(parcel, items=tuple(items))


def try_it(segmenter: Segmenter) -> None:
    """Three small frames through the model, and one step by hand. PublishError if what comes out are no masks or no probabilities."""
    import numpy as np
    import torch

    frames = (np.arange(3 * 64 * 96 * 3).reshape(3, 64, 96, 3) * 7919 % 251).astype(np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 24:72] = 1
    model = segmenter.model
    labels = np.asarray(segmenter.propagate(frames, None if model.finds_objects else mask, size=(64, 96), progress=False))
    with torch.no_grad():
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        given: Any = None if model.finds_objects else torch.from_numpy(mask)[None, None].float()
        probs, _ = model.step(model.encode(pixels[1:2]), model.start(model.encode(pixels[:1]), given))
    sound = bool(torch.isfinite(probs).all()) and bool((probs.sum(1) - 1).abs().max() < 1e-3)
    if labels.shape != (3, 64, 96) or not sound or (given is not None and not set(np.unique(labels)) <= {0, 1}):
        raise PublishError(
            f"{segmenter.config.name} gives no sound masks on a trial clip (shape {labels.shape}, labels {np.unique(labels)[:5]}, "
            f"probabilities {'sum to 1' if sound else 'do not sum to 1'}); nothing was sent. Train or convert it again."
        )


def _not_allowed(path: str) -> Iterator[str]:
    if not (_ALLOWED.fullmatch(path) or ("/" not in path and Path(path).suffix.lower() in PICTURES)):
        yield f"{path} does not belong to a checkpoint: take it out of the folder. What is sent: {ALLOWED}"


def _problems_of_config(config: ModelConfig, files: dict[str, Path]) -> Iterator[str]:
    if not config.licence:
        yield 'config.json has no "licence": say on what terms the weights may be used, for instance "Apache-2.0"'
    if not config.description:
        yield 'config.json has no "description": say in a few words what the model is'
    if not config.training.get("data"):
        yield 'config.json has no "training": {"data": ...}: say what the weights were trained on, and on what terms those data are offered'
    if config.weights is None:
        yield 'config.json has no "weights": save the model with save_pretrained'
        return
    named = {each.file for each in config.weights.files}
    for file in sorted(named - set(files)):
        yield f"{file}, which config.json names, is not in the folder: put it there"
    for file in sorted(path for path in files if path.endswith((".safetensors", ".safetensors.index.json")) and path not in named):
        yield f"{file} is not what config.json names ({', '.join(sorted(named))}): take it out"
    for row in config.metrics:
        if wrong := [key for key, value in scores(row).items() if not 0 <= value <= 100]:
            yield f"config.json: metrics of {row['dataset']!r}: {', '.join(wrong)} must be percentages from 0 to 100"


def _problems_of_graphs(config: ModelConfig, files: dict[str, Path]) -> Iterator[str]:
    found = {path: file for path, file in files.items() if path.startswith("onnx/")}
    if not found:
        return
    if f"onnx/{MANIFEST_FILE}" not in found:
        yield f"onnx/ has no {MANIFEST_FILE}: export the model again, or take the folder out"
        return
    manifest = Manifest.read(found[f"onnx/{MANIFEST_FILE}"].parent)
    if config.weights is None or manifest.weights != config.weights.sha256:
        yield f"onnx/{MANIFEST_FILE} was exported from other weights than config.json names: export the model again"
    named = {f"onnx/{each.file}": each for graph in manifest.graphs.values() for each in graph.files.values()}
    for path in sorted(found.keys() - named.keys() - {f"onnx/{MANIFEST_FILE}"}):
        yield f"{path} is not what {MANIFEST_FILE} names: take it out"
    for path, each in named.items():
        if path not in found or sha256_of(found[path]) != each.sha256:
            yield f"{path} is missing or another than {MANIFEST_FILE} says: export the model again"


def _problems_of_model(segmenter: Segmenter, config: ModelConfig) -> Iterator[str]:
    count = sum(each.numel() for each in segmenter.model.parameters())
    if config.parameters is not None and config.parameters != count:
        yield f'config.json says "parameters": {config.parameters:,}, the model has {count:,}: correct it'


def _card(folder: Path, repo_id: str) -> str:
    path = folder / CARD_FILE
    own = path.read_text(encoding="utf-8") if path.is_file() else None
    return folder_card(folder, repo_id=repo_id) if own is None or own == folder_card(folder) else own


def _problems_of_card(card: str, config: ModelConfig) -> Iterator[str]:
    from huggingface_hub import ModelCard

    if split_card(card) is None:
        yield f"{CARD_FILE} has no metadata between two lines of ---: write it with tools/make_card.py"
        return
    try:
        meta: dict[str, Any] = ModelCard(card).data.to_dict()
    except Exception as error:  # YAML's and the Hub library's own
        yield f"{CARD_FILE}: its metadata are not valid ({str(error).splitlines()[0]:.200}): write it with tools/make_card.py"
        return
    for key, value in {"library_name": "vos_zoo", "pipeline_tag": PIPELINE_TAG}.items():
        if meta.get(key) != value:
            yield f"{CARD_FILE}: its metadata must say {key}: {value}, not {meta.get(key)!r:.80}"
    if not meta.get("license") or (meta["license"] == "other" and not meta.get("license_name")):
        yield f"{CARD_FILE}: its metadata lack license (and license_name where that is other)"
    for section in SECTIONS:
        if not re.search(rf"^#+ {re.escape(section)}$", card, re.MULTILINE):
            yield f'{CARD_FILE} is not complete: it has no section "{section}"'
    yield from _unmeasured(meta.get("model-index") or [], config)


def _unmeasured(index: list[dict[str, Any]], config: ModelConfig) -> Iterator[str]:
    """Numbers in the metadata that config.json does not list with the command that printed them."""
    measured = {(row["dataset"], row["split"], key, value) for row in config.metrics for key, value in scores(row).items()}
    for result in (each for model in index for each in model["results"]):
        data = result["dataset"]
        for metric in result["metrics"]:
            if (data.get("name"), data.get("split"), metric["type"], metric["value"]) not in measured:
                yield (
                    f"{CARD_FILE}: {metric['type']} {metric['value']} on {data.get('name')!r:.80} stands in model-index but not among the "
                    "metrics of config.json: only what was measured, with its command, belongs there"
                )
