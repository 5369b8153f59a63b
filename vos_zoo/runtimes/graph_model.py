"""A model whose methods are graphs that ONNX Runtime computes. It keeps the contract of `models/base.py`, so the engine sees no difference.

Tensors between the methods are torch's, on the CPU.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import CheckpointError, VosZooError
from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.runtimes.manifest import Graph, Manifest
from vos_zoo.runtimes.providers import Provider, onnxruntime

Tensors: TypeAlias = tuple[Tensor, ...]  # the fields of features, or of a state
DTYPES = {"float32": torch.float32, "bool": torch.bool, "int64": torch.int64}


class GraphModel(VOSModel[Any, Any]):
    """The model of an export.json.

    manifest: what lies in the folder; precision: "float32" or "int8"; providers: as `choose_providers` gives them; config: the arguments
    of the architecture. CheckpointError when a file is first needed and is missing or another than export.json says.
    """

    runtime = "onnxruntime"

    def __init__(self, manifest: Manifest, folder: Path, config: object, *, providers: Sequence[Provider], precision: str = "float32"):
        super().__init__()
        self.manifest, self.folder, self.providers, self.precision, self.config = manifest, folder, list(providers), precision, config
        contract = manifest.contract
        self.stride, self.padding = manifest.preprocess["stride"], manifest.preprocess["padding"]  # type: ignore[misc]
        self.needs_first_frame, self.independent = contract["needs_first_frame"], contract["independent"]  # type: ignore[misc]
        self.describes, self.objects_at_once = contract["describes"], contract["objects_at_once"]  # type: ignore[misc]
        self._features = _kind("Features", [spec.name.removeprefix("features_") for spec in manifest.features] + ["frame_extent"])
        self._state = _kind("State", [spec.name.removeprefix("state_") for spec in manifest.state])
        self._sessions: dict[str, Any] = {}

    @property
    def finds_objects(self) -> bool:
        return bool(self.manifest.contract["finds_objects"])

    @property
    def cell(self) -> int:
        return int(self.manifest.contract.get("cell", self.stride))  # graphs that were written without it have cells of their stride

    def encode(self, frames: Tensor) -> Any:
        """As the model's, and `frame_extent` (B, H, W), zeros that take no memory: how large the frames are."""
        extent = frames.new_zeros(()).expand(frames.shape[0], *frames.shape[-2:])
        return self._features(*self._run("encode", {"frames": frames}), extent)

    def start(self, features: Tensors | None, masks: Tensor | None, active: Tensor | None = None) -> Any:
        if masks is not None:
            (b, k), (height, width) = masks.shape[:2], masks.shape[-2:]
        else:
            assert features is not None
            (b, height, width), k = features[-1].shape, self.manifest.contract.get("slots", 0)
        if active is not None:
            b, k = active.shape
        active = torch.ones(b, k, dtype=torch.bool) if active is None else active
        state = self._blank({"B": b, "K": k, "H": height, "W": width}, active)
        return state if masks is None else self.annotate(features, masks, active, state)

    def predict(self, features: Tensors, state: Tensors) -> Prediction:
        logits, *carry = self._run("predict", self._named(features, state))
        return Prediction(logits, (), tuple(carry))

    def advance(self, features: Tensors, prediction: Prediction, state: Tensors) -> tuple[Tensor, Any]:
        carry = {f"carry_{n}": each for n, each in enumerate(prediction.carry)}
        probs, *after = self._run("advance", {**self._named(features, state), **carry, "logits": prediction.logits})
        return probs, self._state(*after)

    def annotate(self, features: Tensors | None, masks: Tensor, given: Tensor, state: Tensors) -> Any:
        if self.finds_objects:
            raise ValueError("this model finds the objects itself and takes no masks: load a model that is not zero-shot to correct it")
        (b, k), (height, width) = masks.shape[:2], masks.shape[-2:]
        new = k - state[0].shape[1]
        if new:
            slots = self._blank({"B": b, "K": new, "H": height, "W": width}, torch.ones(b, new, dtype=torch.bool))
            state = self._state(*(torch.cat(pair, 1) for pair in zip(state, slots, strict=True)))
        return self._state(*self._run("annotate", {**self._named(features, state), "masks": masks, "given": given}))

    def describe(self, features: Tensors) -> Tensor:
        name = self.manifest.describe or ""
        if name == "describe":
            return self._run("describe", self._named(features, ()))[0]
        found: Tensor = getattr(features, name.removeprefix("features_"))
        return found

    def _blank(self, sizes: dict[str, int], active: Tensor) -> Any:
        """A state in which nothing is remembered."""
        fields = {each.name: torch.zeros(each.sizes(sizes), dtype=DTYPES[each.dtype]) for each in self.manifest.state}
        return self._state(*{**fields, "state_active": active}.values())

    def _named(self, features: Tensors | None, state: Tensors) -> dict[str, Tensor]:
        seen = {} if features is None else {spec.name: each for spec, each in zip(self.manifest.features, features, strict=False)}
        return {**seen, **{spec.name: each for spec, each in zip(self.manifest.state, state, strict=False)}}

    def _run(self, name: str, tensors: dict[str, Tensor]) -> list[Tensor]:
        """A graph's outputs, in order; it is opened when it is first needed."""
        if name not in self._sessions:
            self._sessions[name] = self._opened(self.manifest.graphs[name])
        feeds = {}
        for spec in self.manifest.graphs[name].inputs:
            tensor = tensors[spec.name].detach().to(DTYPES[spec.dtype])
            feeds[spec.name] = np.ascontiguousarray(tensor.numpy())
        return [torch.from_numpy(each) for each in self._computed(name, feeds)]

    def _computed(self, name: str, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = self._sessions[name].run(None, feeds)
        return found

    def _opened(self, graph: Graph) -> Any:
        runtime, file = onnxruntime(), graph.files[self.precision]
        path = self.folder / file.file
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: export the model again, vos-zoo export {self.manifest.name} --out FOLDER")
        if path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
            raise CheckpointError(f"{path} is another file than export.json says: export the model again, or fetch the folder again")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            session = runtime.InferenceSession(str(path), options, providers=self.providers)
        except Exception as error:  # onnxruntime's own
            raise CheckpointError(f"onnxruntime can't open {path}: {str(error).strip():.600}") from error
        wanted = self.providers[0] if isinstance(self.providers[0], str) else self.providers[0][0]
        if wanted not in session.get_providers():
            raise VosZooError(
                f"onnxruntime can't use its {wanted} here, and would compute on the CPU: take device='cpu', or mend its drivers"
            )
        return session


def _kind(name: str, fields: Sequence[str]) -> Any:
    """A class of named tuples."""
    return namedtuple(name, fields)
