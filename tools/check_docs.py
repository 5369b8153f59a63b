"""Check the README and the pages: every local link, every Python snippet, every command line, every example in a docstring.

    python tools/check_docs.py                # all; exit status 1 if something is wrong
    python tools/check_docs.py docs/index.md  # one page

A page's snippets run one after another, as if pasted into one session, in a folder with `video.mp4`, `first_mask.png` and the other files
of `write_samples`. One that can't run everywhere stands below a comment that says why, and is then only compiled:

    <!-- compiled only: needs a camera -->

Command lines that begin with vos-zoo are parsed, not run; files in tools/ that they name must exist. Addresses on the web are not asked.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import doctest
import functools
import inspect
import io
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.checkpoints import catalogue

ROOT = Path(__file__).resolve().parents[1]
PYTHON = re.compile(r"^(?P<indent>[ ]*)```(?:python|py)\b[^\n]*\n(?P<code>.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
COMPILED_ONLY = re.compile(r"<!-- compiled only: .+ -->\s*\Z")
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
COMMAND = re.compile(r"^(?:    |\t)?(?:\$ )?((?:vos-zoo|python tools/)[^\n]*(?:\\\n[^\n]*)*)$", re.MULTILINE)
GENERATED = re.compile(r"(?:^|/)models/[\w.-]+\.md$")  # pages that the site makes of hub_configs/
FRAMES, SIZE = 8, (96, 160)  # of the sample clip
SIDE = 96  # of frames inside the models, for speed: whether a snippet runs does not depend on it


@dataclass(frozen=True)
class Snippet:
    """A piece of Python on a page."""

    code: str
    line: int  # where it begins
    runs: bool  # False: it is only compiled


def pages(root: Path = ROOT) -> list[Path]:
    """Every page with prose: the root's documents, and docs/ but for the template of a generated one."""
    top = [root / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    return top + sorted(path for path in (root / "docs").rglob("*.md") if path.name != "page.md")


def snippets(text: str) -> list[Snippet]:
    """The Python of a page, in its order."""
    found = []
    for match in PYTHON.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        runs = COMPILED_ONLY.search(text[: match.start()]) is None
        found.append(Snippet(textwrap.dedent(match["code"]), line, runs))
    return found


def run_page(text: str, name: str) -> list[str]:
    """Runs a page's snippets in the current folder. Returns what went wrong, a line each; what they print is dropped."""
    wrong: list[str] = []
    shared: dict[str, Any] = {"__name__": "__main__"}
    for snippet in snippets(text):
        try:
            code = compile("\n" * (snippet.line - 1) + snippet.code, name, "exec")
            if snippet.runs:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(code, shared)
        except BaseException as error:  # SystemExit too: a snippet must not end the check
            if isinstance(error, KeyboardInterrupt) and "interrupt" not in snippet.code:
                raise
            line = next(
                (each.lineno for each in reversed(traceback.extract_tb(error.__traceback__)) if each.filename == name), snippet.line
            )
            wrong.append(f"{name}:{line}: {type(error).__name__}: {error}")
    return wrong


def links(text: str) -> list[str]:
    """Where a page's links and pictures lead; those in code are not links."""
    prose = re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^(?:    .*\n)+", "\n", prose, flags=re.MULTILINE) if "\n    vos-zoo" in prose else prose
    prose = re.sub(r"`[^`\n]*`(?!\])", "code", prose)
    return [first or second for first, second in LINK.findall(prose)]


def broken_links(path: Path, root: Path = ROOT) -> list[str]:
    """Local links of a page that lead nowhere, a line each."""
    wrong = []
    for link in links(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (path.parent / target).resolve() if target else path
        if GENERATED.search(place.relative_to(root).as_posix() if place.is_relative_to(root) else ""):
            wrong += [] if _is_model_page(place, root) else [f"{path.name}: {link}: there is no such model in hub_configs"]
        elif not place.exists():
            wrong.append(f"{path.name}: {link}: there is no {target}")
        elif anchor and place.suffix == ".md" and anchor not in anchors(place.read_text(encoding="utf-8")):
            wrong.append(f"{path.name}: {link}: no heading there is #{anchor}")
    return wrong


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub and the site make them, and those that are given by id."""
    plain = re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", plain, flags=re.MULTILINE):
        heading = re.sub(r"\s*\{.*\}$", "", heading)
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", words).strip()))
    return found | set(re.findall(r"(?:\{ *#|id=\")([\w.-]+)", text)) | set(re.findall(r"^::: ([\w.]+)", text, flags=re.MULTILINE))


def wrong_commands(text: str, name: str, root: Path = ROOT) -> list[str]:
    """Command lines of a page that the program would not take, a line each."""
    from vos_zoo.cli import parser

    wrong = []
    for command in COMMAND.findall(text):
        words = shlex.split(command.replace("\\\n", " "), comments=True)
        words = words[: next((n for n, word in enumerate(words) if word in ("|", "&&", ">", ";")), len(words))]
        if words[0] == "python":
            wrong += [] if (root / words[1]).is_file() else [f"{name}: there is no {words[1]}"]
            continue
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                parser().parse_args(words[1:])
        except SystemExit as end:
            if end.code:
                wrong.append(f"{name}: {command}: {said.getvalue().strip().splitlines()[-1]}")
    return wrong


def public_names() -> list[str]:
    import vos_zoo

    return list(vos_zoo.__all__)


def documented_names(root: Path = ROOT) -> set[str]:
    """The public names that have an entry on a page of the reference."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (root / "docs" / "reference").glob("*.md"))
    return {entry.rpartition(".")[2] for entry in re.findall(r"^::: ([\w.]+)", text, flags=re.MULTILINE)}


def example_of(name: str) -> str | None:
    """The code of the Example section in a public name's docstring, None where there is none."""
    import vos_zoo

    doc = inspect.getdoc(getattr(vos_zoo, name)) or ""
    match = re.search(r"^Examples?:{1,2}[^\n]*\n((?:[ \t]+[^\n]*\n|[ \t]*\n)+)", doc + "\n", flags=re.MULTILINE)
    return textwrap.dedent(re.sub(r"^\s*```.*$", "", match[1], flags=re.MULTILINE)) if match else None


def run_example(name: str) -> list[str]:
    """Runs a public name's example in the current folder. Returns what went wrong, a line each."""
    code = example_of(name)
    if code is None:
        return [f"vos_zoo.{name} has no Example section in its docstring"]
    if ">>>" not in code:
        return run_page(f"```python\n{code.strip()}\n```\n", f"vos_zoo.{name}")
    said = io.StringIO()
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "__main__"}, name, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=said.write)
    return [f"vos_zoo.{name}: {said.getvalue().strip()}"] if runner.failures else []


def write_samples(folder: Path) -> None:
    """The files that snippets name: a clip of two koi as a file, as frames and with masks, and clips for what takes many."""
    from vos_zoo import MaskSequence
    from vos_zoo.example.clip import Pond, render_example
    from vos_zoo.videos.writer import VideoWriter

    clip = render_example(frames=FRAMES, size=SIZE, pond=Pond(followed=2, passing=0, leaves=1))
    one = (clip.masks == 1).astype(np.uint8)
    masks = MaskSequence(SIZE, fps=clip.fps)
    for labels in clip.masks:
        masks.append(labels)
    masks.save(folder / "true_masks")
    Image.fromarray(one[0] * 255).save(folder / "first_mask.png")
    (folder / "two_masks.png").write_bytes((folder / "true_masks" / "00000.png").read_bytes())
    for place in ("frames", "data/monday/frames", "data/monday/masks", "clips", "corrections"):
        (folder / place).mkdir(parents=True)
    for number, frame in enumerate(clip.frames):
        for place in ("frames", "data/monday/frames"):
            Image.fromarray(frame).save(folder / place / f"{number:05d}.jpg")
        name = f"{number:05d}.png"
        (folder / "data" / "monday" / "masks" / name).write_bytes((folder / "true_masks" / name).read_bytes())
    for place in ("video.mp4", "clips/bear.mp4", "clips/cow.mp4"):
        with VideoWriter(folder / place, fps=clip.fps, size=SIZE) as writer:
            for frame in clip.frames:
                writer.write(frame)
        if place.startswith("clips"):
            (folder / place).with_suffix(".png").write_bytes((folder / "first_mask.png").read_bytes())
    for number in (0, 6):
        (folder / "corrections" / f"{number:05d}.png").write_bytes((folder / "true_masks" / f"{number:05d}.png").read_bytes())


@contextlib.contextmanager
def in_samples() -> Iterator[Path]:
    """A temporary folder with the samples, which is the current one meanwhile; models that come by name look at small frames."""
    before, shipped = Path.cwd(), catalogue.folder
    with tempfile.TemporaryDirectory() as place:
        folder, configs = Path(place) / "samples", Path(place) / "hub_configs"
        shutil.copytree(_samples(), place, dirs_exist_ok=True, copy_function=_linked)
        os.chdir(folder)
        catalogue.folder = lambda: configs
        try:
            yield folder
        finally:
            catalogue.folder = shipped
            os.chdir(before)


@functools.cache
def _samples() -> Path:
    """A folder with samples/ and hub_configs/, made once and removed at the end."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (Path(folder) / "samples").mkdir()
    write_samples(Path(folder) / "samples")
    _write_small_configs(catalogue.folder(), Path(folder) / "hub_configs")
    return Path(folder)


def _linked(source: str, place: str) -> None:
    """A file under a second name where it may be shared, weights; else a copy."""
    if source.endswith(".safetensors"):
        os.link(source, place)
    else:
        shutil.copyfile(source, place)


def _write_small_configs(shipped: Path, folder: Path) -> None:
    """The checkpoints that come with the library, but for the size of frames inside them."""
    for path in shipped.glob("*/*"):
        place = folder / path.relative_to(shipped)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "config.json":
            config = json.loads(path.read_text(encoding="utf-8"))
            place.write_text(json.dumps({**config, "preprocess": {"short_side": SIDE}}), encoding="utf-8")
        else:
            shutil.copyfile(path, place)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, help="pages in Markdown (default: all, and the examples of all public names)")
    chosen = parser.parse_args(arguments).pages
    wrong = []
    for path in chosen or pages():
        text, name = path.read_text(encoding="utf-8"), os.path.relpath(path, ROOT)
        wrong += broken_links(path.resolve()) + wrong_commands(text, name)
        if snippets(text):
            with in_samples():
                wrong += run_page(text, name)
    if not chosen:
        wrong += [f"vos_zoo.{name} has no entry in docs/reference" for name in sorted(set(public_names()) - documented_names())]
        for name in public_names():
            with in_samples():
                wrong += run_example(name)
    print("\n".join(wrong) or "all links, snippets, commands and examples are right")
    return int(bool(wrong))


def _is_model_page(place: Path, root: Path) -> bool:
    return place.stem == "index" or (root / "hub_configs" / place.stem / "config.json").is_file()


if __name__ == "__main__":
    sys.exit(main())
