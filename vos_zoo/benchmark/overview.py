"""One table of all models that ship: how accurate and how fast each is, from the records in docs/results. For README and the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vos_zoo.benchmark.results import is_busy, percent, table, whole_way
from vos_zoo.checkpoints.catalogue import ModelInfo

Record = Mapping[str, Any]
SIX = "DAVIS-2016, 6 of its 20 val sequences"  # the data set of the accuracy column
BEST_PROPOSAL = f"{SIX}, best proposal"  # the same for models that are given no mask


def overview(models: Iterable[ModelInfo], scores: Sequence[Record], speeds: Sequence[Record]) -> str:
    """The table in Markdown, best first, and the sentences that say what its figures are.

    Args:
        models: Rows of the catalogue; those without weights are named below the table.
        scores: Records of `vos-zoo evaluate`.
        speeds: Records of `tools/benchmark.py speed`; of two with the same model the latter counts.

    Returns:
        The table and two or three sentences.
    """
    models = list(models)
    accuracies = {record["label"]: record for record in scores if record["title"] in (SIX, BEST_PROPOSAL)}
    frames: dict[str, tuple[float, Record]] = {}
    for run in filter(whole_way, speeds):
        frames |= {row["model"]: (row["fps"], run) for row in run["results"] if row["what"] == "end to end" and row["trained"]}
    ready = [each for each in models if each.has_weights]
    ready.sort(key=lambda each: -accuracies[each.name]["mean_jf"] if each.name in accuracies else 0)
    rows = [
        [
            f"`{each.name}`",
            _follows(each, accuracies),
            "-" if each.parameters is None else f"{each.parameters / 1e6:.1f} M",
            "-" if each.bytes is None else f"{each.bytes / 1e6:.1f} MB",
            f"**{percent(accuracies[each.name]['mean_jf'])}**" if each.name in accuracies else "-",
            f"{frames[each.name][0]:.1f}" if each.name in frames else "-",
        ]
        for each in ready
    ]
    head = ["name", "model", "parameters", "weights", "accuracy", "frames a second"]
    about = "Accuracy is J&F in percent on six DAVIS-2016 validation sequences, at 480p. "
    about += "Speed is from an mp4 file to masks, one object at 480p"
    runs = [run for name, (_, run) in frames.items() if any(each.name == name for each in ready)]
    if runs:
        about += f", on {runs[0]['environment']['device']}"
        about += "; other programs were at work, so alone it is faster" if any(map(is_busy, runs)) else ""
    untrained = [f"`{each.name}`" for each in models if not each.has_weights]
    without = f" Without weights yet: {', '.join(untrained)}." if untrained else ""
    return f"{table(head, rows)}\n{about}.{without}\n"


def _follows(model: ModelInfo, accuracies: Mapping[str, Record]) -> str:
    best = accuracies.get(model.name, {}).get("title") == BEST_PROPOSAL
    return f"{model.architecture}, finds objects without a mask" if best else model.architecture
