"""What several commands share: which model, on what device, and a word on what is being done."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vos_zoo import __version__
from vos_zoo.checkpoints.sources import joined
from vos_zoo.system.streams import is_terminal, tell

if TYPE_CHECKING:
    from vos_zoo.segmenter import Segmenter

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # where a command adds its own


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16", "int8"),
                        help="precision (default: auto); int8 is for --runtime onnxruntime")  # fmt: skip
    parser.add_argument("--runtime", default="torch", choices=("torch", "onnxruntime"), help="what computes the model (default: torch)")
    parser.add_argument("--quality", default="normal", choices=("fast", "normal", "best"),
                        help="fast: frames are made smaller inside the model; best: larger where that helps, and a copy of the model first "
                        "learns the objects of the annotated frames (default: normal)")  # fmt: skip
    parser.add_argument("--revision", help="branch, tag or commit of a Hub repository")
    parser.add_argument("--local-files-only", action="store_true", help="take a Hub repository from the cache, without the network")
    parser.add_argument(
        "--no-redetection",
        action="store_true",
        help="neither cut leaks nor look for lost objects by their looks, where the checkpoint asks for it",
    )


def label_of(model: str) -> str:
    """A name for results of --model, fit for a folder's."""
    named = [(str(name), Path(name).expanduser()) for name in joined(model)]
    return "+".join(path.resolve().name if path.is_dir() else name.replace("/", "--") for name, path in named)


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-progress", action="store_true", help="no bar, even on a terminal")


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """Which model a command works with, and how it is loaded: what `add_model_options` asks for. It may be handed to other processes."""

    model: str
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    local_files_only: bool = False
    redetection: bool = True
    quiet: bool = False
    runtime: str = "torch"
    quality: str = "normal"

    @classmethod
    def of(cls, args: argparse.Namespace, model: str | None = None) -> ModelChoice:
        """What the command line says. model: another one than --model names."""
        return cls(
            args.model if model is None else model,
            args.device,
            args.dtype,
            args.revision,
            args.local_files_only,
            not args.no_redetection,
            getattr(args, "no_progress", False),
            args.runtime,
            args.quality,
        )


def load_model(choice: ModelChoice) -> Segmenter:
    """The model, with its weights. VosZooError if there is none of that name, or it can't be loaded."""
    if not choice.quiet:
        say(f"loading {choice.model}")
    from vos_zoo.zoo import load

    return load(
        choice.model,
        device=choice.device,
        dtype=choice.dtype,
        revision=choice.revision,
        local_files_only=choice.local_files_only,
        redetection=choice.redetection,
        runtime=choice.runtime,
        quality=choice.quality,
    )


def settings_of(segmenter: Segmenter) -> dict[str, Any]:
    """What masks depend on, of the model or the ensemble: a run that is gone on with must not mix them."""
    config = segmenter.config
    members = [settings_of(member) for member in segmenter.members] if len(segmenter.members) > 1 else []
    return {
        "model": config.name,
        "architecture": config.architecture,
        "arguments": dict(config.model_args),
        "weights": config.weights.sha256 if config.weights else None,
        "preprocess": dataclasses.asdict(config.preprocess),
        "redetection": segmenter.describer.config.name if segmenter.describer else None,
        "dtype": segmenter.precision,
        **({"adapts": True} if segmenter.adapts else {}),
        **({} if segmenter.runtime == "torch" else {"runtime": segmenter.runtime}),
        "vos_zoo": __version__,
        **({"members": members} if members else {}),
    }


def say(what: str, quiet: bool = False) -> None:
    """Tells someone at a terminal what takes a while."""
    if is_terminal(sys.stderr) and not quiet:
        tell(f"{what} ...")


def frame_size(text: str) -> tuple[int, int]:
    """480x854: (height, width) in pixels."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, as in 480x854")
    return int(match[1]), int(match[2])


def internal_size(text: str) -> int | tuple[int, int] | str:
    """480, 480x854 or native."""
    if text == "native":
        return text
    try:
        numbers = [int(part) for part in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise argparse.ArgumentTypeError(f"{text!r} is neither a shorter side (480), HEIGHTxWIDTH (480x854) nor 'native'")
