"""The model card of a checkpoint, generated from its config.json: README.md with the Hub's metadata on top."""

from __future__ import annotations

import json
from typing import Any

from vos_zoo.config import ModelConfig

# Published by the models' authors (J&F in percent); never mixed with what was measured here.
PUBLISHED: dict[str, tuple[tuple[str, str], ...]] = {
    "CRVOS": (
        ("DAVIS-2016 val, 20 sequences", "81.6 (J 82.2, F 81.0), ResNet-50, trained on YouTube-VOS and DAVIS"),
        ("DAVIS-2017 val", "54.3 (J 53.5, F 55.2), the same"),
    ),
}
LIMITS: dict[str, str] = {
    "CRVOS": "The only memory is the previous frame's coarse mask. Objects that move fast against their size, or that leave and come back, "
    "can be lost and are found again only by chance; masks may leak onto look-alikes that touch the object. Look at `masks.lost` and "
    "`masks.confidence`, and correct by an annotated frame. Thin parts (lines, wheel spokes) get blurred.",
}


def model_card(config: ModelConfig) -> str:
    """README.md for a checkpoint folder: only measured numbers in the metadata, each with the command that printed it."""
    return f"---\n{_front_matter(config)}---\n\n{_body(config)}"


def _front_matter(config: ModelConfig) -> str:
    meta: dict[str, Any] = {
        "library_name": "vos_zoo",
        "pipeline_tag": "mask-generation",
        "license": "other",
        "license_name": "research-only-training-data",
        "tags": ["video-object-segmentation", "vos_zoo", config.architecture.lower()],
    }
    if config.metrics:
        meta["model-index"] = [{"name": config.name, "results": [_result(row) for row in config.metrics]}]
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in meta.items())  # JSON is YAML


def _result(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": {"type": "mask-generation", "name": "Semi-supervised video object segmentation"},
        "dataset": {"name": row["dataset"], "type": row["dataset"].split()[0].strip(",").lower(), "split": row["split"]},
        "metrics": [{"type": key, "value": row[key], "name": key} for key in ("J&F", "J", "F") if key in row],
    }


def _body(config: ModelConfig) -> str:
    args = config.model_args
    parts = [
        f"# {config.name}",
        f"{config.description[:1].upper()}{config.description[1:]}. {config.architecture}, trunk {args.get('backbone', '?')}, "
        f"{(config.parameters or 0) / 1e6:.1f} M parameters, "
        f"frames at a shorter side of {config.preprocess.short_side or 'their own'} pixels.",
        "```python\nimport vos_zoo\n\n"
        f'masks = vos_zoo.load("{config.name}").propagate("video.mp4", "first_mask.png")\n'
        'masks.save_video("overlay.mp4", "video.mp4")\n```',
        "## Measured",
        _measured(config),
    ]
    if config.architecture in PUBLISHED:
        parts += [
            "## Published by the paper's authors, with their own weights",
            "\n".join(f"- {where}: {what}" for where, what in PUBLISHED[config.architecture]),
        ]
    parts += [
        "## Intended use and limits",
        "Following objects whose mask is given in one frame: annotation, editing, research. Not for identifying people, and not for "
        "decisions about them. " + LIMITS.get(config.architecture, ""),
        "## Data and terms",
        f"{config.training.get('data', '')}\n\nTerms of these weights: {config.licence or 'not stated'}",
        "## How it was made",
        _provenance(config.training),
        "## Paper",
        "{authors}: *{title}*, {venue}. {url}".format(**{**dict.fromkeys(("authors", "title", "venue", "url"), ""), **config.paper}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _measured(config: ModelConfig) -> str:
    if not config.metrics:
        return "Nothing has been measured yet."
    lines = ["| data | split | J&F | J | F |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['dataset']} | {row['split']} | {row.get('J&F', '')} | {row.get('J', '')} | {row.get('F', '')} |" for row in config.metrics
    ]
    commands = dict.fromkeys(row["command"] for row in config.metrics)
    return "\n".join(lines) + "\n\nPrinted by:\n\n" + "\n".join(f"    {command}" for command in commands)


def _provenance(training: dict[str, Any]) -> str:
    if not training:
        return "Not trained yet."
    recipe = training.get("recipe", {})
    stages = recipe.get("stages", [])
    lines = [
        f"Recipe `recipe.yaml` (sha256 of its resolved form {training.get('recipe_sha256', '')[:16]}...), seed {recipe.get('seed')}, "
        f"{training.get('steps')} steps. Weights: {training.get('weights', '')}.",
        "",
        "| stage | steps | clips a step | frames a clip | height x width | real clips | learning rate |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in stages:
        rate = f"{s['lr']}" + (f" to {s['lr_end']}" if s.get("lr_end") is not None else "")
        lines.append(
            f"| {s['name']} | {s['steps']} | {s['batch']} | {s['frames']} | {s['size'][0]}x{s['size'][1]} | {s['real']:.0%} | {rate} |"
        )
    if training.get("input_size"):
        lines += ["", f"Input size: {training['input_size']}."]
    versions = ", ".join(f"{k} {v}" for k, v in training.get("versions", {}).items())
    return "\n".join(lines) + (f"\n\nVersions: {versions}." if versions else "")
