"""Files of weights as their authors published them: torch.save in its old and new formats, read as tensors and nothing else."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import CheckpointError
from vos_zoo.system.paths import user_path

PARALLEL = "module."  # before every key of a model that was saved from DataParallel
LEGACY_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # a number that torch.save wrote first, before it wrote zip archives


@dataclass(frozen=True)
class Published:
    """One file: its tensors on the CPU by the authors' names, without DataParallel's prefix."""

    path: Path
    tensors: dict[str, Tensor]
    sha256: str

    def source(self) -> dict[str, Any]:
        """What a converted config says of this file."""
        return {"file": self.path.name, "bytes": self.path.stat().st_size, "sha256": self.sha256}


def read_published(path: str | os.PathLike[str], *, wrapper: str | None = None) -> Published:
    """Read a published file of weights. Only tensors are unpickled (weights_only), wherever their device was.

    wrapper: the key under which some versions of the file hold their tensors, beside other things.
    Raises CheckpointError when the file is none, holds anything that only running code could read, or no tensors by name.
    """
    path = user_path(path, CheckpointError)
    _refuse_what_is_no_weights(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise CheckpointError(_why_not_read(path, error)) from error
    if wrapper is not None and isinstance(content, dict) and isinstance(content.get(wrapper), dict):
        content = content[wrapper]
    return Published(path, _tensors_of(path, content), sha256_of(path))


def _refuse_what_is_no_weights(path: Path) -> None:
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder. Give the file of weights in it.")
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is a device or a pipe. Give the file that the authors published.")
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror or error}). Give the file that the authors published.") from error
    if path.suffix.lower() == ".pkl" or (start.startswith(b"\x80") and LEGACY_MAGIC not in start):
        raise CheckpointError(
            f"{path} is a pickle of Python objects, not of weights, and is not opened: that could run any code. args.pkl is not needed: "
            "backbone, widths and kind are read off the shapes of the weights. Give the files with the weights."
        )
    if start.lstrip()[:1] == b"<":
        raise CheckpointError(f"{path} is a web page, not the weights: the download stopped at a question. Fetch it again in a browser.")
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a git-lfs pointer, not the weights. Run `git lfs pull` in its repository.")
    _check_archive(path)


def _check_archive(path: Path) -> None:
    """CheckpointError for a zip archive that torch.save does not write so: nothing in it is compressed, it unpacks to its own size."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except Exception as error:  # zipfile raises whatever the bytes lead it to
        raise CheckpointError(f"{path} is a broken archive ({str(error):.200}). Fetch it again, and compare its size.") from error
    if not any(part.filename.endswith("data.pkl") for part in parts):
        names = ", ".join(f"{part.filename:.80}" for part in parts[:5])
        raise CheckpointError(f"{path} is an archive with {names or 'nothing in it'}. Unpack it and give the files of weights in it.")
    size = sum(part.file_size for part in parts)
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or size > path.stat().st_size:
        raise CheckpointError(
            f"{path} is a compressed archive, which would grow to {size:,} bytes; torch.save writes none. It was not opened. Unpack it and "
            "save the weights anew: torch.save(model.state_dict(), ...)."
        )


def _why_not_read(path: Path, error: Exception) -> str:
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if foreign:
        return (
            f"{path} holds more than tensors ({foreign[1]}), which only code could read; so it is not opened. Where you trust it, save its "
            "weights alone: torch.save(model.state_dict(), ...)."
        )
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return f"{path} is no whole file of torch.save ({reason[0]:.200}). Fetch it again, and compare its size."


def _tensors_of(path: Path, content: object) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{path} holds no tensors by name, but a {type(content).__name__}. Give a file with a state_dict.")
    foreign = [f"{key!s:.80}" for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if foreign:
        raise CheckpointError(
            f"{path} is no state_dict: beside tensors by name it holds {', '.join(foreign[:5])}. Save its state_dict alone, and give that."
        )
    odd = [key for key, value in content.items() if value.layout != torch.strided or value.is_quantized or value.is_complex()]
    if odd:
        raise CheckpointError(
            f"{path}: {odd[0]:.80} is sparse, quantized or complex, which no model here has. Save the weights as plain tensors."
        )
    tensors: dict[str, Tensor] = {}
    for key, value in content.items():
        plain = key.removeprefix(PARALLEL)
        if plain in tensors:
            raise CheckpointError(f"{path} holds {plain} twice, with and without {PARALLEL!r} before it. Keep the one that you mean.")
        tensors[plain] = value
    return tensors
