"""What a figure was measured on: the machine, the libraries, and the memory of this process."""

from __future__ import annotations

import errno
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.errors import EvaluationError

if TYPE_CHECKING:
    import torch

_NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")  # in the words of torch, CUDA and C libraries


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes.

    On Linux from the kernel's VmHWM: getrusage there also counts what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError as error:
        raise EvaluationError("peak memory can't be read on this system: measure it on Linux or macOS") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def shortage(error: BaseException) -> str:
    """What the machine lacked, in a sentence, if that is what the error is about; else an empty string."""
    number = getattr(error, "errno", None)
    if number in (errno.EMFILE, errno.ENFILE):
        return "too many files are open at once: raise the limit (ulimit -n), or take fewer clips at once"
    told = str(error).lower()
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(words in told for words in _NO_MEMORY):
        return "memory ran out: take a smaller --size, fewer objects or fewer clips at once, or a machine that has more"
    return ""


def device_peak(device: torch.device | None) -> int | None:
    """Peak of tensors on a GPU so far, bytes; None for other devices."""
    if getattr(device, "type", None) != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)


def device_name(device: torch.device) -> str:
    """What computes: the GPU's name, or that of the CPU."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{device.type}: {_cpu_name()}, {os.cpu_count()} cores"


def load_average() -> float | None:
    """Programs that wanted to compute in the last minute, this one included; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def environment(device: torch.device) -> dict[str, Any]:
    """The machine and the libraries; `load_average` tells whether others were at work on it."""
    import torch

    return {
        "device": device_name(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": load_average(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "timm", "numpy")},
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
