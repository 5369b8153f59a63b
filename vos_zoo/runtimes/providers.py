"""Where ONNX Runtime computes: its execution providers, chosen as devices are."""

from __future__ import annotations

from typing import Any, TypeAlias

from vos_zoo.errors import VosZooError, did_you_mean

Provider: TypeAlias = str | tuple[str, dict[str, Any]]
CPU = "CPUExecutionProvider"
DEVICES = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
BEST = ("cuda", "directml", "cpu")  # what "auto" takes the first of; the others are asked for by name
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "openvino": "onnxruntime-openvino",
}


def onnxruntime() -> Any:
    """The package. VosZooError if it is not installed."""
    try:
        import onnxruntime as found
    except ImportError as error:
        raise VosZooError(f"runtime='onnxruntime' needs the package onnxruntime ({error}): pip install onnxruntime onnxscript") from error
    return found


def choose_providers(device: object) -> list[Provider]:
    """For "auto", "cpu", "cuda", "cuda:1", "directml", "coreml", "openvino", "tensorrt" or a torch device; the CPU always last.

    VosZooError for a device that this onnxruntime does not have.
    """
    available = onnxruntime().get_available_providers()
    name, _, number = str(device).partition(":")
    if name == "auto":
        name = next(each for each in BEST if DEVICES[each] in available)
    if name not in DEVICES or (number and not number.isdigit()):
        known = ", ".join(each for each, provider in DEVICES.items() if provider in available)
        raise VosZooError(f"device {str(device)!r:.80} is none of onnxruntime's.{did_you_mean(name, DEVICES)} Here it has: {known}")
    if DEVICES[name] not in available:
        package = f"pip install {_PACKAGES[name]} brings it" if name in _PACKAGES else "another build of onnxruntime has it"
        raise VosZooError(f"this onnxruntime has no {DEVICES[name]} for device {str(device)!r}: {package}, or take device='cpu'")
    first: Provider = (DEVICES[name], {"device_id": int(number)}) if number and name != "cpu" else DEVICES[name]
    return [first] if name == "cpu" else [first, CPU]
