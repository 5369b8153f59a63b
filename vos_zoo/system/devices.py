"""Where a model runs and how precisely, when the user leaves it open or asks for something that is not there."""

from __future__ import annotations

from typing import TypeAlias

import torch

from vos_zoo.errors import VosZooError
from vos_zoo.system.host import check_device

DeviceLike: TypeAlias = torch.device | str | int
DTypeLike: TypeAlias = torch.dtype | str
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_device(device: DeviceLike) -> torch.device:
    """'auto': cuda, else mps, else cpu; or any that torch knows. VosZooError if it can't be used here."""
    if device != "auto":
        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise VosZooError(
                f"device {device!r} can't be used here ({str(error).splitlines()[0]}); device='auto' takes the best that there is"
            ) from error
        return chosen
    if torch.cuda.is_available():
        check_device(torch.device("cuda"))
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(dtype: DTypeLike, device: torch.device) -> torch.dtype:
    """'auto': half precision where the device computes in it, else float32; or its name. VosZooError for another."""
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    if dtype == "int8":
        raise VosZooError("int8 is computed by onnxruntime: pass runtime='onnxruntime' too, or another dtype")
    if dtype != "auto":
        raise VosZooError(f"dtype is 'auto', {', '.join(map(repr, DTYPES))} or such a torch.dtype, not {dtype!r}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and _cpu_computes_in_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_computes_in_bfloat16() -> bool:
    """AVX512-BF16 or AMX; without them bfloat16 is emulated, slower than float32."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(known.get(name)) for name in ("avx512_bf16", "amx_bf16"))
