"""The model card of a checkpoint, generated from its config.json: README.md with the Hub's metadata on top.

The metadata hold measured numbers only, each with the command that printed it; figures of the paper's authors stand in the text, apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig

CARD_FILE = "README.md"
PIPELINE_TAG = "mask-generation"  # video-object-segmentation is no pipeline tag of the Hub, so it stands among the tags
SECTIONS = ("Measured", "Intended use", "Limits and bias", "Data and terms", "How it was made", "Citation")
PICTURE = re.compile(r"example\.(png|jpg|jpeg|webp|gif)")
# Of the Hub's list of licences, those that weights have.
_LICENCES = frozenset(
    ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
     "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "openrail", "unlicense")
)  # fmt: skip
_TOLD_APART = ("data", "recipe", "recipe_sha256", "steps", "weights", "last_log", "versions", "input_size", "converted_from", "parameters")

_ZERO_SHOT = (
    " It takes no mask: it finds what stands out, in a fixed number of slots, misses objects and follows things nobody asked for; the "
    "figures of zero-shot models are far below those of models that are given a mask."
)

_REDETECTION = (
    " So that what is lost can be found again, and what leaked onto the background or lies on something else is taken away, every fourth "
    "frame is compared with the annotated ones by the features of `{0}` (none of the papers has that; `load(..., redetection=False)` "
    "leaves it out). What can't be told from others is not found so, and what has changed beyond recognition can be taken for something "
    "else."
)

_USE = "Following objects through a video: annotation, editing, research."
_POINTING_USE = "The mask that a propagation model starts from, and corrections of masks: annotation, editing, research."
_CORRECT = " Look at `masks.lost` and `masks.confidence`, and correct by an annotated frame."

_BIAS = (
    "Which objects are followed well depends on the training data, and those are mostly photographs and short clips from the Web: "
    "people, pets, vehicles and sports by daylight. Other objects and pictures (medical, thermal, aerial, night, drawings, crowds) are "
    "likelier to be lost. Whether people of different looks are followed equally well has not been measured."
)


def folder_card(folder: str | Path, *, repo_id: str | None = None) -> str:
    """The card of a checkpoint folder: of its config and of what else lies there (a picture, a licence, recipes)."""
    folder = Path(folder)
    return model_card(ModelConfig.read(folder / CONFIG_FILE), repo_id=repo_id, files=[path.name for path in folder.iterdir()])


def model_card(config: ModelConfig, *, repo_id: str | None = None, files: Iterable[str] = ()) -> str:
    """README.md for a checkpoint.

    repo_id: the Hub repository that it is for, so that the snippet loads that; None: the config's name.
    files: names beside it. `example.png` is shown, `LICENSE` and recipes are linked to, the folder `onnx` is told of.
    """
    names = sorted(files)
    return f"---\n{_yaml(_metadata(config, names))}---\n\n{_body(config, repo_id, names)}"


def split_card(text: str) -> tuple[str, str] | None:
    """The metadata block and the text of a card; None where there is no such block."""
    found = re.match(r"---\r?\n(.*?\n)---\r?\n(.*)", text, re.DOTALL)
    return (found[1], found[2]) if found else None


def _metadata(config: ModelConfig, files: list[str]) -> dict[str, Any]:
    licence = _licence(config.licence, files)
    meta: dict[str, Any] = {
        "library_name": "vos_zoo",
        "pipeline_tag": PIPELINE_TAG,
        **licence,
        "tags": [
            "interactive-segmentation" if config.encoder else "video-object-segmentation",
            "vos_zoo",
            config.architecture.lower(),
            *(["onnx"] if "onnx" in files else []),
        ],
    }
    if config.metrics:
        meta["model-index"] = [{"name": config.name, "results": [_result(row, config) for row in config.metrics]}]
    return meta


def _licence(said: str | None, files: list[str]) -> dict[str, str]:
    """The Hub's three fields. Terms that are no licence of its list are "other", with a name and, if there is one, the file."""
    if said is None:
        return {}
    if said.lower() in _LICENCES:
        return {"license": said.lower()}
    restricted = re.search(r"research|non-?commercial", said, re.IGNORECASE)
    link = {"license_link": "LICENSE"} if "LICENSE" in files else {}
    return {"license": "other", "license_name": "research-only-training-data" if restricted else "see-data-and-terms", **link}


def _result(row: dict[str, Any], config: ModelConfig) -> dict[str, Any]:
    kind = "Zero-shot" if config.model_args.get("zero_shot") else "Semi-supervised"
    task = "Interactive image segmentation" if config.encoder else f"{kind} video object segmentation"
    args = {"command": row["command"]}
    values = _numbers(row) if config.encoder else scores(row)
    return {
        "task": {"type": PIPELINE_TAG, "name": task},
        "dataset": {
            "name": row["dataset"],
            "type": re.split(r"[,\s]", row["dataset"].strip())[0].lower() or "other",
            "split": row["split"],
        },
        "metrics": [{"type": key, "value": value, "name": key, "args": args} for key, value in values.items()],
    }


def scores(row: dict[str, Any]) -> dict[str, float]:
    """What a row of config.metrics says of accuracy, in percent: J&F, J, F and what else begins with these letters."""
    return {key: value for key, value in _numbers(row).items() if re.match(r"(J&F|J|F|G)\b", key)}


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    """The measured values of a row, J&F first."""
    found: dict[str, float] = {key: value for key, value in row.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    first: dict[str, float] = {key: found[key] for key in ("J&F", "J", "F") if key in found}
    return {**first, **found}


def _yaml(value: dict[str, Any] | list[Any], indent: int = 0) -> str:
    """Block YAML of plain values; every string is quoted as JSON quotes it, which YAML reads the same."""
    pad = "  " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}{key}:{_yaml_entry(each, indent)}" for key, each in value.items())
    lines = []
    for each in value:
        if isinstance(each, dict):
            lines.append(f"{pad}- {_yaml(each, indent + 1).lstrip()}")
        else:
            lines.append(f"{pad}- {json.dumps(each, ensure_ascii=False)}\n")
    return "".join(lines)


def _yaml_entry(value: object, indent: int) -> str:
    if isinstance(value, (dict, list)):
        return f"\n{_yaml(value, indent + 1)}"
    return f" {json.dumps(value, ensure_ascii=False)}\n"


def _body(config: ModelConfig, repo_id: str | None, files: list[str]) -> str:
    picture = next((name for name in files if PICTURE.fullmatch(name)), None)
    parts = [
        f"# {config.name}",
        f"{config.description[:1].upper()}{config.description[1:]}. {_facts(config)}",
        _snippet(config, repo_id or config.name),
        _without_torch(repo_id or config.name) if "onnx" in files else "",
        f"![Frames of a clip with the masks that {config.name} found]({picture})" if picture else "",
        "## Measured",
        _measured(config),
        "## Published by the paper's authors, with their own weights" if config.published else "",
        "\n".join(f"- {figure.where}: {figure.what}" for figure in config.published),
        "## Intended use",
        f"{_USE if config.encoder is None else _POINTING_USE} Not for identifying people, not for watching them, and not for "
        "decisions about them.",
        "## Limits and bias",
        f"{limits(config)}{_CORRECT if config.encoder is None else ''}\n\n{_BIAS}",
        "## Data and terms",
        f"{config.training.get('data', '')}\n\nTerms of these weights: {config.licence or 'not stated'}"
        + (" The full text is in [LICENSE](LICENSE)." if "LICENSE" in files else ""),
        "## How it was made",
        _provenance(config, [name for name in files if name.startswith("recipe")]),
        "## Citation",
        _citation(config.paper),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def limits(config: ModelConfig) -> str:
    """What the config says of its limits, and what redetection and finding objects add to that."""
    zero_shot = _ZERO_SHOT if config.model_args.get("zero_shot") else ""
    redetection = _REDETECTION.format(config.redetection) if config.redetection else ""
    return (config.limits or "Not described yet.") + redetection + zero_shot


def _facts(config: ModelConfig) -> str:
    size, short_side = config.preprocess.size, config.preprocess.short_side
    inside = f"{size[0]}x{size[1]} pixels" if size else f"a shorter side of {short_side} pixels" if short_side else "their own size"
    trunk = config.model_args.get("backbone", "?")
    count = "" if config.parameters is None else f", {config.parameters / 1e6:.1f} M parameters"
    if config.encoder is not None:
        return f"{config.architecture}{count}: a head on the features of `{config.encoder.name}`, which are kept as they are."
    return f"{config.architecture}, trunk {trunk}{count}, frames at {inside}."


def _snippet(config: ModelConfig, name: str) -> str:
    if config.weights is None:
        return f'It has no weights yet: `vos_zoo.create("{config.name}")` builds it untrained, `tools/train.py` trains it.'
    if config.encoder is not None:
        return (
            "```python\nimport vos_zoo\n\n"
            f'mask = vos_zoo.point("frame.jpg", points=[(320, 240)], model="{name}")\n'
            f'masks = vos_zoo.load("{config.encoder.name}").propagate("clip.mp4", points=[(320, 240)])\n```'
        )
    mask = "" if config.model_args.get("zero_shot") else ', "first_mask.png"'
    return (
        "```python\nimport vos_zoo\n\n"
        f'masks = vos_zoo.load("{name}").propagate("video.mp4"{mask})\n'
        'masks.save_video("overlay.mp4", "video.mp4")\n```'
    )


def _without_torch(name: str) -> str:
    return (
        f'Its graphs are in `onnx/`: `vos_zoo.load("{name}", runtime="onnxruntime")` runs them. For other programs, `onnx/export.json` '
        "has their names and shapes."
    )


def _measured(config: ModelConfig) -> str:
    if not config.metrics:
        return "Nothing has been measured yet."
    columns = list(dict.fromkeys(key for row in config.metrics for key in _numbers(row)))
    lines = [f"| data | split | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for row in config.metrics:
        values = " | ".join(str(row.get(key, "")) for key in columns)
        data = row["dataset"] + (f", quality {row['quality']}" if "quality" in row else "")
        lines.append(f"| {_cell(data)} | {_cell(row['split'])} | {values} |")
    commands = dict.fromkeys(row["command"] for row in config.metrics)
    return "\n".join(lines) + "\n\nPrinted by:\n\n" + "\n".join(f"    {' '.join(command.split())}" for command in commands)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _provenance(config: ModelConfig, recipes: list[str]) -> str:
    training = config.training
    linked = ", ".join(f"[{name}]({name})" for name in recipes)
    parts = [] if training else ["Not trained yet."]
    if "converted_from" in training:
        parts.append(_converted(training["converted_from"]))
    if isinstance(recipe := training.get("recipe"), dict):
        digest = str(training.get("recipe_sha256", ""))[:16]
        parts.append(
            f"Recipe: {linked or 'as recorded in config.json'} (sha256 of its resolved form {digest}...), seed {recipe.get('seed')}, "
            f"{training.get('steps')} steps. Weights: {training.get('weights', '')}."
        )
        parts.append(_stages(recipe.get("stages", [])))
    elif linked:
        parts.append(f"Recipe: {linked}.")
    parts.append(_fingerprints(training.get("files")))
    if training.get("input_size"):
        parts.append(f"Input size: {training['input_size']}.")
    others = {key: value for key, value in training.items() if key not in _TOLD_APART and isinstance(value, (str, int, float))}
    parts.append("\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in others.items()))
    if isinstance(versions := training.get("versions"), dict):
        parts.append(f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}.")
    if config.weights is not None:
        parts.append(f"Weights: `{config.weights.file}`, {config.weights.dtype}, sha256 `{config.weights.sha256}`.")
    return "\n\n".join(filter(None, parts))


def _converted(origin: object) -> str:
    files = origin if isinstance(origin, list) else [origin]
    lines = [", ".join(f"{key} {value}" for key, value in each.items()) if isinstance(each, dict) else str(each) for each in files]
    return "Converted from the authors' published weights:\n\n" + "\n".join(f"- {line}" for line in lines)


def _fingerprints(files: object) -> str:
    """How many files each set of the training data had, and a hash of their names and sizes: whether somebody has the same."""
    sets = {name: facts for name, facts in files.items() if isinstance(facts, dict)} if isinstance(files, dict) else {}
    if not sets:
        return ""
    lines = ["| training files | files | bytes | sha256 of names and sizes |", "|---" * 4 + "|"]
    for name, facts in sets.items():
        lines.append(
            f"| {_cell(str(name))} | {facts.get('files', '')} | {facts.get('bytes', '')} | {str(facts.get('sha256', ''))[:16]}... |"
        )
    return "\n".join(lines)


def _stages(stages: object) -> str:
    if not isinstance(stages, list) or not stages:
        return ""
    lines = ["| stage | steps | clips a step | frames a clip | height x width | real clips | learning rate |", "|---" * 7 + "|"]
    for s in (stage for stage in stages if isinstance(stage, dict)):
        rate = f"{s.get('lr')}" + (f" to {s['lr_end']}" if s.get("lr_end") is not None else "")
        size = "x".join(map(str, s["size"])) if isinstance(s.get("size"), list) else str(s.get("size") or "")
        real = f"{s['real']:.0%}" if isinstance(s.get("real"), (int, float)) else ""
        lines.append(f"| {s.get('name')} | {s.get('steps')} | {s.get('batch')} | {s.get('frames')} | {size} | {real} | {rate} |")
    return "\n".join(lines)


def _citation(paper: dict[str, Any]) -> str:
    if not (title := str(paper.get("title") or "").strip()):
        return ""
    authors = paper.get("authors", "")
    names = authors if isinstance(authors, list) else str(authors).split(", ")
    year = re.search(r"\b(19|20)\d\d\b", str(paper.get("venue", "")))
    word = re.sub(r"[^a-z]", "", (title.split(":")[0].split() or ["paper"])[0].lower())
    entry = {
        "title": f"{{{title}}}",
        "author": " and ".join(names),
        "booktitle": paper.get("venue"),
        "year": year and year[0],
        "url": paper.get("url"),
    }
    fields = "\n".join(f"  {key:<9} = {{{value}}}," for key, value in entry.items() if value)
    plain = ", ".join(filter(None, (", ".join(names) + f": *{title}*", str(paper.get("venue") or "")))) + ". " + str(paper.get("url") or "")
    return f"{plain.strip()}\n\n```bibtex\n@inproceedings{{{word}{year[0] if year else ''},\n{fields}\n}}\n```"
