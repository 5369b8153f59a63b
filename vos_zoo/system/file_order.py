"""The order of files, the same everywhere: frames, masks, training data, members of a zip, clips, results."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import PurePath
from typing import Any, TypeVar

from vos_zoo.errors import VosZooWarning

Named = TypeVar("Named", bound="str | PurePath")
Key = tuple[Any, ...]

# -0.04, 12, 1e-05; 2024.05.01 has too many dots for one number. A minus counts at the beginning and behind "=", elsewhere it is a hyphen.
_NUMBER = re.compile(r"((?:^-|(?<==)-)?\d+(?:[.,]\d+)*(?:e[+-]\d{1,2}(?!\d))?)")
_TWELVE_HOURS = re.compile(r"(?<!\d)\d{1,2}(?:[.:\-_]\d\d){0,2}[ _\u202f]?[AaPp]\.?[Mm]\b")
_YEAR_LAST = re.compile(r"(?<!\d)\d{1,2}([-._])\d{1,2}\1(?:19|20)\d\d(?!\d)")
_DIGITS = re.compile(r"(\d+)")
_DECIMAL = re.compile(r"-?(\d+)[.,](\d+)")


def natural_key(name: str, *, decimals: bool = True) -> Key:
    """What names without suffix are sorted by: numbers as numbers, letters without regard to case.

    Args:
        name: of a file, without folder and suffix.
        decimals: whether 0.2 is a fifth, and so comes after 0.04; else a dot only parts two numbers, and 1.10 comes after 1.9.

    Example:
        >>> sorted(["t=0.2", "t=0.04", "img10", "IMG2"], key=natural_key)
        ['IMG2', 'img10', 't=0.04', 't=0.2']
    """
    plain = unicodedata.normalize("NFC", name).casefold()
    parts: list[Any] = []
    for i, part in enumerate(_NUMBER.split(plain)):
        if i % 2 and (len(re.findall("[.,]", part)) > 1 or (not decimals and _DECIMAL.fullmatch(part))):
            pieces = _DIGITS.split(part)
            parts[-1] += pieces[0]  # a text before the first number, for instance a minus
            parts += [Decimal(piece) if n % 2 else piece for n, piece in enumerate(pieces[1:], 1)][:-1]
        else:
            parts.append(Decimal(part.replace(",", ".")) if i % 2 else part)
    return tuple(parts), name


def in_order(files: Iterable[Named]) -> list[Named]:
    """Files in natural order: img2 before img10, t=0.04 before t=0.2, whatever the case of their suffixes.

    Args:
        files: paths or file names, with suffix, with or without folders; folders are ordered first, from the outermost on.

    Returns:
        The same values, sorted. `order_in_doubt` says whether somebody else might have sorted them in another way.
    """
    listed = list(files)
    decimals = _decimals([_stem(file) for file in listed])[0]
    return sorted(listed, key=lambda file: _path_key(file, decimals))


def order_in_doubt(files: Iterable[Named]) -> str:
    """Why the order of these files is not beyond doubt, with the first names as `in_order` takes them; "" if it is.

    Names are in doubt which hold no numbers, hours with AM and PM, or dates with the year at the end, are of several patterns, hold the
    same number twice, or could have decimals or parted numbers in them (1.25 and 1.5).
    """
    listed = in_order(files)
    stems = [_stem(file) for file in listed]
    if len(listed) < 2:
        return ""
    reason = _decimals(stems)[1] or _doubt_of_times(stems) or _doubt_of_patterns(stems) or _doubt_of_numbers(listed, stems)
    if not reason:
        return ""
    names = [PurePath(file).name for file in listed]
    return f"{reason}; taken as {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"


def told_order(files: Iterable[Named], where: str) -> list[Named]:
    """`in_order`, with a VosZooWarning if that order is in doubt.

    Args:
        files: as for `in_order`.
        where: what holds them, at the beginning of the sentence: "the folder bear".
    """
    listed = in_order(files)
    if doubt := order_in_doubt(listed):
        warnings.warn(f"{where}: the order of its files is in doubt: {doubt}. If that is wrong, number them", VosZooWarning, stacklevel=3)
    return listed


def _stem(file: Named) -> str:
    return PurePath(file).stem


def _path_key(file: Named, decimals: bool) -> Key:
    path = PurePath(file)
    folders = [(0, natural_key(part)) for part in path.parts[:-1]]
    return (*folders, (1, natural_key(path.stem, decimals=decimals)), path.name)


def _decimals(stems: Sequence[str]) -> tuple[bool, str]:
    """Whether the dots in these names are decimal points, and what speaks against being sure."""
    fractions: dict[str, set[str]] = defaultdict(set)
    marked = False
    for stem in stems:
        for match in _NUMBER.finditer(stem):
            if found := _DECIMAL.fullmatch(match[0]):
                fractions[found[1]].add(found[2])
                marked |= stem[: match.start()].endswith("=")
    every = set().union(*fractions.values())
    if marked or len({len(each) for each in every}) < 2:
        return True, ""
    if any(len(each) > 1 and each[0] == "0" for each in every):
        return True, ""
    if any(_counted(group) for group in fractions.values()):
        return False, ""
    longest = max(sorted(every), key=len)
    whole = next(whole for whole, group in fractions.items() if longest in group)
    return True, f"{whole}.{longest} could be a decimal, or the numbers {whole} and {longest}"


def _counted(fractions: set[str]) -> bool:
    """Whether these count on from 9 to 10, as no decimals do."""
    numbers = sorted(int(each) for each in fractions if len(each) < 20)
    return len({len(each) for each in fractions}) > 1 and len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1


def _doubt_of_times(stems: Sequence[str]) -> str:
    """Of clocks and calendars that don't count upwards: 1 PM comes after 12 PM, 01-02-2024 after 12-31-2023."""
    if len({found[0].casefold() for stem in stems if (found := _TWELVE_HOURS.search(stem))}) > 1:
        return "their names have hours with AM and PM, which are not put in the order of time"
    if len({found[0] for stem in stems if (found := _YEAR_LAST.search(stem))}) > 1:
        return "their names have dates with the year at the end, which are put in order by their first number"
    return ""


def _doubt_of_patterns(stems: Sequence[str]) -> str:
    patterns: dict[str, str] = {}
    for stem in stems:
        patterns.setdefault(_NUMBER.sub("#", unicodedata.normalize("NFC", stem).casefold()), stem)
    if not any("#" in pattern for pattern in patterns):
        return "" if all(len(stem) == 1 for stem in stems) else "their names hold no numbers"
    if len(patterns) > 1:
        return f"their names are of {len(patterns)} patterns (as {', '.join(list(patterns.values())[:3])})"
    return ""


def _doubt_of_numbers(files: Sequence[Named], stems: Sequence[str]) -> str:
    decimals = _decimals(stems)[0]
    seen: dict[Key, str] = {}
    for file, stem in zip(files, stems, strict=True):
        key = (*PurePath(file).parts[:-1], *natural_key(stem, decimals=decimals)[:-1])
        if seen.setdefault(key, stem) != stem:
            return f"{seen[key]} and {stem} have the same number"
    return ""
