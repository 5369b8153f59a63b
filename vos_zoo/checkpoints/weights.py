"""Weights on disk: safetensors read and written, checksums, and a strict load whose errors can be read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from vos_zoo.checkpoints.config import Shard, SharedTrunk, WeightsFile
from vos_zoo.errors import CheckpointError
from vos_zoo.system import strict_json

if TYPE_CHECKING:
    import torch

PICKLE_SUFFIXES = frozenset({".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl", ".pickle", ".th"})
ONLY_SAFETENSORS = (
    "Only safetensors is read, because opening a pickle (.pth, .pt, .bin, .ckpt) can run any "
    "code. Take a safetensors file, or convert this one where you trust it"
)

_ITEM_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "F16": 2, "BF16": 2, "F32": 4, "F64": 8}
_DTYPE_NAMES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
_MAX_HEADER_BYTES = 32 << 20
_MAX_DIMENSIONS = 16  # of a tensor
_MAX_BYTES = 1 << 50  # of a file; no side of a tensor is longer
_NOT_TRAINED = ("running_mean", "running_var", "num_batches_tracked")
_SHOWN = 10  # lines of each kind in a diff


class TensorHeader(NamedTuple):
    dtype: str  # as safetensors spells it: F16, F32, I64, ...
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        if self.dtype in _DTYPE_NAMES:
            return "floating point"
        return "boolean" if self.dtype == "BOOL" else "integer"


class Piece(NamedTuple):
    """A file of weights, and what the names of its tensors begin with in the model."""

    path: Path
    prefix: str = ""


def sha256_of(path: str | Path) -> str:
    """The file's SHA-256 as 64 lower-case hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify_file(path: Path, expected: WeightsFile | Shard | SharedTrunk) -> None:
    """Checks size and SHA-256 against the config. CheckpointError shows both digests."""
    _refuse_other_formats(path)
    size = path.stat().st_size
    if size < expected.bytes:
        raise CheckpointError(
            f"{path} is cut short: it has {size:,} bytes, its config says {expected.bytes:,}. Delete {path.resolve()} and fetch it again."
        )
    found = sha256_of(path)
    if found != expected.sha256:
        raise CheckpointError(
            f"{path} is not the file that its config describes.\n  sha256 in the config: {expected.sha256}\n "
            f" sha256 of the file:   {found}\nDelete {path.resolve()} and fetch it again; or, if you changed "
            "the weights yourself, write both files anew with save_pretrained."
        )
    if size != expected.bytes:
        raise CheckpointError(
            f"{path} has {size:,} bytes, its config says {expected.bytes:,} (the sha256 is right). Correct weights.bytes in the config."
        )


def read_header(path: str | Path) -> dict[str, TensorHeader]:
    """Names, dtypes and shapes in a safetensors file, read without torch and without reading any tensor.

    Raises CheckpointError when the file is of another format, truncated, or its header does not fit its size.
    """
    path = Path(path)
    _refuse_other_formats(path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8 or length > _MAX_HEADER_BYTES:
            raise _corrupt(path, f"its header claims {length:,} bytes, the file has {size:,}")
        header = file.read(length)
    try:
        entries = strict_json.parse(header)
    except ValueError as error:
        raise _corrupt(path, f"its header is not JSON ({error})") from error
    if not isinstance(entries, dict):
        raise _corrupt(path, "its header is not a JSON object")
    entries.pop("__metadata__", None)
    tensors, spans = {}, []
    for name, entry in entries.items():
        tensors[name], span = _tensor_entry(path, name, entry)
        spans.append(span)
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise _corrupt(path, "its tensors overlap or leave gaps")
        end = stop
    if end != size - 8 - length:
        raise _corrupt(path, f"its header promises {end:,} bytes of tensors, the file holds {size - 8 - length:,}")
    return tensors


def count_parameters(tensors: Mapping[str, TensorHeader]) -> int:
    """Number of trained values by the header alone: floating-point tensors without batch-norm statistics."""
    return sum(math.prod(each.shape) for name, each in tensors.items() if each.kind == "floating point" and not name.endswith(_NOT_TRAINED))


def stored_dtype(tensors: Mapping[str, TensorHeader]) -> str:
    """The dtype of the floating-point tensors, or "mixed"."""
    names = {_DTYPE_NAMES[each.dtype] for each in tensors.values() if each.kind == "floating point"}
    return names.pop() if len(names) == 1 else "mixed"


def check_size(model: torch.nn.Module, expected: WeightsFile, label: str) -> None:
    """CheckpointError if a config promises more bytes than such a model can have; asked before anything is fetched."""
    values = sum(each.numel() for each in model.state_dict().values())
    most = 8 * values + _MAX_HEADER_BYTES * len(expected.files)
    promised = sum(each.bytes for each in expected.files)
    if promised > most:
        raise CheckpointError(
            f"{label} says that the weights take {promised:,} bytes, but {type(model).__name__} with these model_args has {values:,} "
            f"values, at most {most:,} bytes. They were not read. Correct the config, or take the checkpoint from somewhere else."
        )


def check_fit(model: torch.nn.Module, *files: Path | Piece) -> None:
    """Compares the headers of the file, or of all pieces, with the model, key by key, and reads no tensor; the model may be on "meta".

    Raises CheckpointError with the missing, unexpected and mis-shaped keys: their counts, and ten of each.
    """
    pieces = _pieces(files)
    paths = tuple(piece.path for piece in pieces)
    found = {piece.prefix + name: header for piece in pieces for name, header in read_header(piece.path).items()}
    wanted = {name: TensorHeader(_spelling(tensor), tuple(tensor.shape)) for name, tensor in model.state_dict().items()}
    missing = [f"{name} {list(wanted[name].shape)}" for name in wanted if name not in found]
    unexpected = [f"{name} {list(found[name].shape)}" for name in found if name not in wanted]
    unlike = [f"{name}: {_unlike(found[name], wanted[name])}" for name in wanted if name in found and _unlike(found[name], wanted[name])]
    if missing or unexpected or unlike:
        parts = (
            _listing("missing from the file", missing),
            _listing("unexpected in the file", unexpected),
            _listing("of another shape or kind", unlike),
        )
        raise CheckpointError(
            f"{_called(paths)} does not fit {type(model).__name__} as its config describes it "
            f"({len(wanted)} tensors wanted, {len(found)} found).\n"
            + "\n".join(filter(None, parts))
            + "\nLoad it with the config that was saved beside it, and without model_args that "
            "change shapes."
        )


def load_weights(model: torch.nn.Module, *files: Path | Piece) -> None:
    """Copies every tensor of the file, or of all pieces, into the model, strictly, into the model's own dtype and device.

    Raises CheckpointError when keys or shapes differ, or when a tensor holds NaN or infinity.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_fit(model, *files)
    for path, prefix in _pieces(files):
        try:
            state = load_file(path)
        except (SafetensorError, OSError) as error:
            raise _corrupt(path, str(error)) from error
        broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())]
        if broken:
            raise CheckpointError(
                f"{path} holds NaN or "
                f"infinity:\n{_listing('tensors that are not finite', broken)}\nSuch a model "
                "predicts nothing. Take an earlier checkpoint, or train it again."
            )
        # check_fit has seen that all pieces together are complete
        model.load_state_dict({prefix + name: tensor for name, tensor in state.items()}, strict=len(files) == 1)


def _pieces(files: Iterable[Path | Piece]) -> list[Piece]:
    return [each if isinstance(each, Piece) else Piece(each) for each in files]


def stored_state(model: torch.nn.Module, dtype: str | None = "float16") -> dict[str, torch.Tensor]:
    """The model's state as it is stored, on the CPU.

    dtype: "float16", "bfloat16" or "float32" for the floating-point tensors, or None to keep each as it is.
    A tensor with values beyond the range of float16 is kept in float32.
    Raises CheckpointError when a tensor holds NaN or infinity, or the dtype is none of these.
    """
    import torch

    dtypes = {None: None, "float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
    if not (dtype is None or isinstance(dtype, str)) or dtype not in dtypes:
        raise CheckpointError(
            f"weights can't be stored as {dtype!r:.80}: give 'float16', 'bfloat16', 'float32', or None to keep them as they are."
        )
    state = {}
    broken = []
    for name, tensor in model.state_dict().items():
        stored = tensor.detach().to("cpu", copy=True).contiguous()
        if stored.is_floating_point():
            if not bool(torch.isfinite(stored).all()):
                broken.append(name)
            narrow = stored.to(dtypes[dtype] or stored.dtype)
            stored = narrow if bool(torch.isfinite(narrow).all()) else stored.to(torch.float32)
        state[name] = stored
    if broken:
        raise CheckpointError(
            "the model holds NaN or infinity, so it is not "
            f"saved:\n{_listing('tensors that are not finite', broken)}\nGo back to an "
            "earlier checkpoint."
        )
    return state


def write_state(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes tensors as safetensors; the same tensors give the same bytes. OSError when the disk does not take it."""
    from safetensors.torch import save

    # Written here, not by safetensors, so that a full disk is an OSError.
    path.write_bytes(save(dict(state), metadata={"format": "pt"}))


def _refuse_other_formats(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(
            f"the weights {path} can't be read ({error.strerror or error}). Check that the "
            "file is there and that you may read it, or fetch it again."
        ) from error
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a git-lfs pointer, not the weights. Run `git lfs pull` in its repository.")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x1f\x8b")) and start[8:9] != b"{":
        raise CheckpointError(f"{path} is a pickle or an archive, whatever its name says. {ONLY_SAFETENSORS}.")
    if len(start) < 8:
        raise _corrupt(path, f"it has {len(start)} bytes")


def _tensor_entry(path: Path, name: str, entry: object) -> tuple[TensorHeader, tuple[int, int]]:
    if not isinstance(entry, dict):
        raise _corrupt(path, f"the entry of tensor {name!r:.100} is not a JSON object")
    dtype, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise CheckpointError(
            f"{path}: tensor {name!r:.100} has dtype {dtype!r:.40}, which is not read "
            "here. Store floating-point weights as float16, bfloat16 or float32."
        )
    if not _whole(shape, at_most=_MAX_DIMENSIONS):
        wanted = f"a list of at most {_MAX_DIMENSIONS} whole numbers below {_MAX_BYTES:,}"
        raise _corrupt(path, f"the shape of tensor {name!r:.100} must be {wanted}, not {shape!r:.80}")
    if not _whole(span, at_most=2) or len(span) != 2:
        raise _corrupt(path, f"the data_offsets of tensor {name!r:.100} must be two whole numbers below {_MAX_BYTES:,}, not {span!r:.80}")
    begin, stop = span
    if stop - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise _corrupt(path, f"tensor {name!r:.100} of shape {shape!r:.80} does not fill its {stop - begin:,} bytes")
    return TensorHeader(dtype, tuple(shape)), (begin, stop)


def _whole(value: object, *, at_most: int) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) <= at_most and all(type(each) is int and 0 <= each < _MAX_BYTES for each in value)


def _spelling(tensor: torch.Tensor) -> str:
    if tensor.is_floating_point():
        return "F32"
    return "BOOL" if str(tensor.dtype) == "torch.bool" else "I64"


def _unlike(found: TensorHeader, wanted: TensorHeader) -> str:
    if found.shape != wanted.shape:
        return f"{list(found.shape)} in the file, {list(wanted.shape)} in the model"
    if found.kind != wanted.kind:
        return f"{found.kind} in the file, {wanted.kind} in the model"
    return ""


def _called(paths: tuple[Path, ...]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} with {len(paths) - 1} more"


def _listing(title: str, lines: Iterable[str]) -> str:
    lines = sorted(lines)
    if not lines:
        return ""
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"  {title} ({len(lines)}):", *(f"    {line}" for line in [*lines[:_SHOWN], *more])])


def _corrupt(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is not a whole safetensors file: {why}. Delete it and fetch it again. (Only safetensors is read, never a pickle.)"
    )
