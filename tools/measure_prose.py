"""Measure the prose of the README and the pages: lines, sentences, words a sentence.

    python tools/measure_prose.py                # all pages; exit status 1 if one is over its bounds
    python tools/measure_prose.py README.md

A sentence ends with a full stop, a question or exclamation mark, a colon before a list or code, or its paragraph, list item or heading's
end. Code, tables, pictures, HTML and headings are no prose. A word holds a letter or a digit; inline code is one word.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^\s*(```|~~~)")
LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
NOT_PROSE = re.compile(r"^\s*(?:#|\||<|!\[|:::|\[[^\]]+\]:|(?:!!!|\?\?\?|=== )|(?:-{3,}|={3,})\s*$)")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_`]*[A-Z0-9`])")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|vs|cf|Fig|Eq|No)\.$")


@dataclass(frozen=True)
class Bounds:
    """What a page may reach: words a sentence, and lines."""

    mean: float
    longest: int
    lines: int | None = None


README, PAGE = Bounds(18, 45, 150), Bounds(20, 50)


@dataclass(frozen=True)
class Prose:
    """The prose of one page."""

    lines: int
    sentences: tuple[str, ...]

    @property
    def lengths(self) -> list[int]:
        """Words of each sentence."""
        return [len(words(sentence)) for sentence in self.sentences]

    @property
    def mean(self) -> float:
        """Words a sentence, 0 without any."""
        return sum(self.lengths) / max(len(self.sentences), 1)

    @property
    def longest(self) -> str:
        """The sentence with the most words."""
        return max(self.sentences, key=lambda sentence: len(words(sentence)), default="")

    def offences(self, bounds: Bounds) -> list[str]:
        """What is over the bounds, a line each."""
        found = []
        if bounds.lines is not None and self.lines > bounds.lines:
            found.append(f"{self.lines} lines, at most {bounds.lines}")
        if self.mean > bounds.mean:
            found.append(f"{self.mean:.1f} words a sentence, at most {bounds.mean:g}")
        long = (sentence for sentence in self.sentences if len(words(sentence)) > bounds.longest)
        return found + [f"a sentence of {len(words(sentence))} words, at most {bounds.longest}: {sentence}" for sentence in long]


def words(sentence: str) -> list[str]:
    """The words of a sentence; inline code and the target of a link count as one and as none."""
    plain = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`+[^`]*`+", "code", sentence))
    return [word for word in plain.split() if re.search(r"[^\W_]", word)]


def measure(text: str) -> Prose:
    """The prose of a page in Markdown."""
    sentences = [sentence for block in blocks(text) for sentence in _sentences(block)]
    return Prose(len(text.splitlines()), tuple(sentence for sentence in sentences if words(sentence)))


def blocks(text: str) -> Iterator[str]:
    """Paragraphs and list items, each on one line."""
    lines: list[str] = []
    fenced = listed = False
    after_blank = True
    for line in _unfolded(_without_front_matter(text).splitlines()):
        if FENCE.match(line):
            fenced = not fenced
        code = fenced or FENCE.match(line) is not None or (after_blank and not listed and line.startswith("    "))
        ends = code or not line.strip() or NOT_PROSE.match(line) or LIST_ITEM.match(line)
        if ends and lines:
            yield " ".join(lines)
            lines = []
        if LIST_ITEM.match(line) and not code:
            listed = True
        elif line.strip() and not line.startswith(" "):
            listed = False
        after_blank = not line.strip() or (code and not fenced)
        if not code and line.strip() and not NOT_PROSE.match(line):
            lines.append(LIST_ITEM.sub("", line).strip())
    if lines:
        yield " ".join(lines)


def _unfolded(lines: Sequence[str]) -> Iterator[str]:
    """The lines with what stands in boxes and tabs brought to the margin."""
    inside = False
    for line in lines:
        if re.match(r"(?:!!!|\?\?\?|===) ?", line):
            inside = True
        elif line.strip() and not line.startswith("    "):
            inside = False
        yield line[4:] if inside and line.startswith("    ") else line


def pages(root: Path = ROOT) -> list[Path]:
    """Every page that is measured: the root's documents and those in docs/, but for the template of a generated one."""
    top = [root / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
    return top + sorted(path for path in (root / "docs").rglob("*.md") if path.name != "page.md")


def bounds_of(path: Path) -> Bounds:
    return README if path.name == "README.md" and path.parent == ROOT else PAGE


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, help="pages in Markdown (default: all)")
    failed = False
    for path in parser.parse_args(arguments).pages or pages():
        prose = measure(path.read_text(encoding="utf-8"))
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        longest = max(prose.lengths, default=0)
        print(f"{name}: {prose.lines} lines, {len(prose.sentences)} sentences, {prose.mean:.1f} words on average, {longest} in the longest")
        for offence in prose.offences(bounds_of(path.resolve())):
            failed = True
            print(f"  {offence}")
    return int(failed)


def _sentences(block: str) -> Iterator[str]:
    begun = ""
    for part in SENTENCE_END.split(block):
        begun = f"{begun} {part}".strip()
        if not ABBREVIATION.search(begun):
            yield begun
            begun = ""
    if begun:
        yield begun


def _without_front_matter(text: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
