"""The pages of the documentation site that are made when it is built; mkdocs.yml names this file as a hook.

- models/: a page a checkpoint, of hub_configs/NAME: what its config says, then its card.
- the table of all models, the README's, at models/index.md
- reference/cli.md: the help of every command
- ARCHITECTURE.md, CONTRIBUTING.md, SECURITY.md and CHANGELOG.md, which lie at the repository's root
"""

from __future__ import annotations

import argparse
import posixpath
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # this tree's vos_zoo, wherever another may be installed

from vos_zoo.checkpoints import catalogue  # noqa: E402
from vos_zoo.cli import parser  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

TOP = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
COMMANDS = "<!-- commands -->"  # where the help goes in reference/cli.md
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
MODELS = re.compile(r"<!-- models: made by .*?-->\n(.*?)<!-- end of models -->", re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages of the models in the navigation."""
    pages = [{"All models": "models/index.md"}, *({name: f"models/{name}.md"} for name in catalogue.names())]
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Models" in entry:
            entry["Models"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made, and the pictures of the cards."""
    from mkdocs.structure.files import File

    for place, text in model_pages().items():
        files.append(File.generated(config, place, content=text))
    for name in catalogue.names():
        for picture in sorted((catalogue.folder() / name).glob("*.png")):
            files.append(File.generated(config, f"models/{name}-{picture.name}", abs_src_path=str(picture)))
    for name in TOP:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in the help of the commands, and turns links into the repository to the pages that stand for them."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, command_pages())
    return links_on_site(markdown, page.file.src_uri)


def links_on_site(markdown: str, place: str) -> str:
    """The text of a page at `place` with links to cards, to the root's documents and into docs/ as they are on the site."""

    def turned(found: re.Match[str]) -> str:
        target = found[2]
        if ":" in target:
            return found[0]
        base = "" if place in TOP else "docs"
        path = posixpath.normpath(posixpath.join(base, posixpath.dirname(place), target))
        if card := re.fullmatch(r"hub_configs/([\w.-]+)/README\.md", path):
            path = f"docs/models/{card[1]}.md"
        elif path in TOP:
            path = f"docs/{path}"
        if not path.startswith("docs/"):
            return found[0]
        return f"{found[1]}{posixpath.relpath(path.removeprefix('docs/'), posixpath.dirname(place) or '.')}{found[3]}"

    return LINK.sub(turned, markdown)


def model_pages() -> dict[str, str]:
    """The page of every model, and the one of all, by their places on the site."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = MODELS.search(readme)
    names = {name: f"[`{name}`]({name}.md)" for name in catalogue.names()}
    rows = re.sub(r"`([\w.-]+)`", lambda found: names.get(found[1], found[0]), table[1] if table else "")
    licence = "Weights are for research and non-commercial use unless their page says otherwise: the data they learned from are offered so."
    pages = {
        "models/index.md": f"# Models\n\n{rows}\n{licence}\n\n[Which one?](../concepts/models.md#which-one) [All results](../RESULTS.md).\n"
    }
    return pages | {f"models/{name}.md": model_page(name) for name in catalogue.names()}


def model_page(name: str) -> str:
    """What a config says of its model, in a table, and the card without its heading and its header for the Hub."""
    info, config = catalogue.info(name), catalogue.read(name)
    card = (catalogue.folder() / name / "README.md").read_text(encoding="utf-8")
    card = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    card = re.sub(r"\A\s*# [^\n]*\n", "", card).replace("](example.png)", f"]({name}-example.png)")
    card = re.sub(r"\[([^\]]+\.yaml)\]\([^)]*\)", r"`\1`", card)
    side = config.preprocess.short_side
    facts: Mapping[str, str] = {
        "architecture": info.architecture,
        "parameters": "not counted" if info.parameters is None else f"{info.parameters / 1e6:.1f} M",
        "weights": f"{info.bytes / 1e6:.1f} MB, ships with vos_zoo"
        if info.ships and info.bytes
        else "on the Hub"
        if info.has_weights
        else "none yet",
        "frames inside": "the video's own size" if side is None else f"shorter side {side} pixels",
        "lost objects": f"found by the features of `{config.redetection}`" if config.redetection else "not looked for",
        "terms of the weights": info.licence or "not stated",
    }
    arguments = "\n".join(f"| `{key}` | `{value}` |" for key, value in config.model_args.items())
    table = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    fold = (
        f'<details markdown="1"><summary>arguments of the model</summary>\n\n| argument | value |\n|---|---|\n{arguments}\n\n</details>\n'
    )
    return f"# {name}\n\n| what | |\n|---|---|\n{table}\n\n{fold}\n{card}"


def command_pages() -> str:
    """The help of every command, in Markdown."""
    top = parser()
    (commands,) = [each for each in top._actions if isinstance(each, argparse._SubParsersAction)]
    parts = []
    for name, command in commands.choices.items():
        formatter = command.formatter_class
        command.formatter_class = lambda prog, formatter=formatter: formatter(prog, width=110)
        parts.append(f"## vos-zoo {name}\n\n```text\n{command.format_help().rstrip()}\n```\n")
    return "\n".join(parts)
