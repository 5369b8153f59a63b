"""A Space's folder, of Gradio or of static files, checked and made ready to be sent: exactly its files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints.card import CARD_FILE, split_card
from vos_zoo.checkpoints.hub import is_repo_id
from vos_zoo.errors import PublishError
from vos_zoo.publish.parcel import Item, Parcel, checked_repo_id, is_left_out, problems_of, refuse, walk
from vos_zoo.system.paths import user_path

REQUIREMENTS = "requirements.txt"
PACKAGES = "packages.txt"  # of the system, for apt
_COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w.,\s-]*\])?\s*==\s*([\w.!+-]+)(?:\s*;.*)?")
_AT_URL = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w.,\s-]*\])?\s*@\s*\S+(?:@[0-9a-f]{40}|\.whl)(?:#\S*)?(?:\s*;.*)?")
_MAX_SHORT_DESCRIPTION = 60


def space_parcel(folder: str | Path, repo_id: str) -> Parcel:
    """Every file of a Space's folder, hidden ones and caches left out. PublishError lists what is wrong with them."""
    checked_repo_id(repo_id)
    folder = user_path(folder, PublishError)
    if not folder.is_dir() or not (folder / CARD_FILE).is_file():
        raise PublishError(f"{folder} is no Space: there must be a folder with {CARD_FILE}, whose front matter says how to run it.")
    found = dict(walk(folder))
    left_out = tuple(path for path in found if is_left_out(path))
    files = {path: file for path, file in found.items() if path not in left_out}
    refuse((problem for path, file in files.items() for problem in problems_of(path, file)), folder)
    meta = _front_matter(folder)
    of_gradio = () if meta.get("sdk") == "static" else _problems_of_gradio(meta, files)
    refuse([*_problems_of_meta(meta, files), *of_gradio, *_problems_of_code(files)], folder)
    return Parcel(repo_id, "space", tuple(Item.of(path, file) for path, file in files.items()), left_out, sdk=meta["sdk"])


def _front_matter(folder: Path) -> dict[str, Any]:
    import yaml

    parts = split_card((folder / CARD_FILE).read_text(encoding="utf-8"))
    try:
        meta = yaml.safe_load(parts[0]) if parts else None
    except yaml.YAMLError as error:
        raise PublishError(f"{folder / CARD_FILE}: its front matter is not valid YAML: {error}. Correct it.") from error
    if not isinstance(meta, dict):
        raise PublishError(f"{folder / CARD_FILE} has no front matter between two lines of ---: a Space can't be built without.")
    return meta


def _problems_of_meta(meta: dict[str, Any], files: dict[str, Path]) -> Iterator[str]:
    where = f"{CARD_FILE}, front matter:"
    for key in ("title", "emoji", "colorFrom", "colorTo", "sdk", "app_file", "license", "short_description"):
        if not isinstance(meta.get(key), str) or not meta[key]:
            yield f"{where} {key} is missing or no string"
    if meta.get("sdk") not in ("gradio", "static"):
        yield f"{where} sdk must be gradio or static, not {meta.get('sdk')!r:.40}"
    for key in ("colorFrom", "colorTo"):
        if meta.get(key) not in _COLOURS:
            yield f"{where} {key} must be one of {', '.join(_COLOURS)}, not {meta.get(key)!r:.40}"
    if meta.get("app_file") not in files:
        yield f"{where} app_file {meta.get('app_file')!r:.80} is not among the files"
    if len(str(meta.get("short_description", ""))) > _MAX_SHORT_DESCRIPTION:
        yield f"{where} short_description has more than {_MAX_SHORT_DESCRIPTION} characters: shorten it"
    for key in ("models", "tags"):
        if not isinstance(meta.get(key, []), list) or not all(isinstance(each, str) for each in meta.get(key, [])):
            yield f"{where} {key} must be a list of strings"
    for model in meta.get("models") or []:
        if isinstance(model, str) and not is_repo_id(model):
            yield f"{where} models: {model!r:.80} must be owner/name"


def _problems_of_gradio(meta: dict[str, Any], files: dict[str, Path]) -> Iterator[str]:
    """What a Space that runs Python needs besides."""
    where = f"{CARD_FILE}, front matter:"
    if not isinstance(meta.get("sdk_version"), str) or not re.fullmatch(r"\d+\.\d+\.\d+", meta["sdk_version"]):
        yield f"{where} sdk_version must be a whole version in quotes such as '6.31.0', not {meta.get('sdk_version')!r:.40}"
    if "python_version" in meta and not re.fullmatch(r"3\.\d+(\.\d+)?", str(meta["python_version"])):
        yield f"{where} python_version must be such as '3.11', not {meta['python_version']!r:.40}"
    yield from _problems_of_requirements(meta, files)


def _problems_of_requirements(meta: dict[str, Any], files: dict[str, Path]) -> Iterator[str]:
    if REQUIREMENTS not in files:
        yield f"there is no {REQUIREMENTS}: name what the Space needs, each at one version (name==1.2.3)"
        return
    for number, line in enumerate(files[REQUIREMENTS].read_text(encoding="utf-8").splitlines(), 1):
        wanted = re.sub(r"(^|\s)#.*", "", line).strip()
        if not wanted or wanted.startswith("--extra-index-url https://"):
            continue
        pinned = _PINNED.fullmatch(wanted)
        if not pinned and not _AT_URL.fullmatch(wanted):
            yield (
                f"{REQUIREMENTS}, line {number}: {wanted!r:.80} is not pinned. Write name==1.2.3, or name @ git+https://...@COMMIT "
                "with the 40 digits of a commit"
            )
        elif pinned and pinned[1].lower() == "gradio" and pinned[2] != meta.get("sdk_version"):
            yield f"{REQUIREMENTS}, line {number}: gradio {pinned[2]} is not the front matter's sdk_version {meta.get('sdk_version')!r:.40}"
    if PACKAGES in files:
        for number, line in enumerate(files[PACKAGES].read_text(encoding="utf-8").splitlines(), 1):
            if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*|", line.strip()):
                yield f"{PACKAGES}, line {number}: {line.strip()!r:.80} is no name of a Debian package; one a line, without comments"


def _problems_of_code(files: dict[str, Path]) -> Iterator[str]:
    for path, file in files.items():
        if path.endswith(".py"):
            try:
                ast.parse(file.read_bytes(), path)
            except (SyntaxError, ValueError) as error:
                yield f"{path} is not valid Python ({error}): correct it"
