"""A model's methods as functions of plain tensors, each with a name: what an exported graph takes and gives.

    encode     frames                                 -> features_*
    predict    features_*, state_*                    -> logits, carry_*
    advance    features_*, logits, carry_*, state_*   -> probs, next_*
    annotate   features_*, masks, given, state_*      -> next_*
    describe   features_*                             -> description   (where it is none of the features)

`predict` and then `advance` are a step. There is no `start`: the first state is `annotate` of a state of zeros with every slot active and
given. A new object is a slot of zeros, active and given, behind the others. Which tensors these are is seen by running the model twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.runtimes.manifest import TensorSpec, words_for

SIZES = ({"B": 2, "K": 3, "H": 83, "W": 133}, {"B": 3, "K": 5, "H": 121, "W": 70})  # that models are run at; rounded to their stride


class Method(NamedTuple):
    """One of the model's methods."""

    run: Callable[..., tuple[Tensor, ...]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: tuple[Tensor, ...]  # inputs


class Layout(NamedTuple):
    """All of a model's methods."""

    methods: dict[str, Method]
    features: tuple[TensorSpec, ...]
    state: tuple[TensorSpec, ...]
    describe: str | None  # a feature's name, or "describe"


class Function(nn.Module):
    """A method as a module, which is what torch exports."""

    def __init__(self, model: nn.Module, run: Callable[..., tuple[Tensor, ...]]):
        super().__init__()
        self.model, self.run = model, run

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return self.run(*tensors)


@torch.no_grad()
def layout_of(model: VOSModel) -> Layout:
    """What goes in and out of a model's methods. ValueError if a size follows from no number of clips, objects or pixels."""
    probes = [_probe(model, {**sizes, "H": _whole(sizes["H"], model), "W": _whole(sizes["W"], model)}) for sizes in SIZES]
    runs = _runs(model, probes[0])
    specs: dict[str, tuple[TensorSpec, ...]] = {}
    for name in probes[0].tensors:
        names = _names(name, probes[0])
        rows = zip(names, *(probe.tensors[name] for probe in probes), strict=True)
        specs[name] = tuple(_spec(each, tensors, probes) for each, *tensors in rows)
    methods = {}
    for name, run in runs.items():
        inputs, outputs = ENDS[name]
        # copies: torch takes two inputs that are one tensor for one input, and what is carried is also in the state
        example = tuple(tensor.clone() for part in inputs for tensor in probes[0].tensors[part])
        taken = tuple(spec for part in inputs for spec in specs[part])
        given = tuple(_renamed(spec) if part == "next" else spec for part in outputs for spec in specs["state" if part == "next" else part])
        methods[name] = Method(run, taken, given, example)
    return Layout(methods, specs["features"], specs["state"], probes[0].described)


ENDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "encode": (["frames"], ["features"]),
    "predict": (["features", "state"], ["logits", "carry"]),
    "advance": (["features", "logits", "carry", "state"], ["probs", "next"]),
    "annotate": (["features", "masks", "given", "state"], ["next"]),
    "describe": (["features"], ["description"]),
}


class _Probe(NamedTuple):
    sizes: dict[str, int]
    tensors: dict[str, tuple[Tensor, ...]]
    fields: dict[str, tuple[str, ...]]  # of features and state
    make: dict[str, Callable[[Sequence[Tensor]], Any]]  # features, state and prediction from tensors
    described: str | None


def _probe(model: VOSModel, sizes: dict[str, int]) -> _Probe:
    b, k, size = sizes["B"], sizes["K"], (sizes["H"], sizes["W"])
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(b, 3, *size, generator=generator)
    masks = (torch.rand(b, k, *size, generator=generator) > 0.5).float()
    features: Any = model.encode(frames)
    active = torch.ones(b, k, dtype=torch.bool)
    state: Any = model.start(features, None, active) if model.finds_objects else model.start(features, masks)
    prediction = model.predict(features, state)
    probs, state = model.advance(features, prediction, state)
    alone = isinstance(features, Tensor)
    kinds = type(features), type(state)
    tensors: dict[str, tuple[Tensor, ...]] = {
        "frames": (frames,),
        "features": (features,) if alone else tuple(features),
        "state": tuple(state),
        "masks": (masks,),
        "given": (torch.arange(b * k).view(b, k) % 2 > 0,),
        "logits": (prediction.logits,),
        "carry": prediction.carry,
        "probs": (probs,),
    }
    described = None
    fields = {"features": ("features",) if alone else features._fields, "state": state._fields}
    if model.describes:
        description = model.describe(features)
        same = [n for n, each in zip(fields["features"], tensors["features"], strict=True) if each is description]
        described = f"features_{same[0]}" if same else "describe"
        tensors["description"] = (description,)
    make: dict[str, Callable[[Sequence[Tensor]], Any]] = {
        "features": (lambda given: given[0]) if alone else (lambda given: kinds[0](*given)),
        "state": lambda given: kinds[1](*given),
        "prediction": lambda given: Prediction(given[0], (), tuple(given[1:])),
    }
    return _Probe(sizes, tensors, fields, make, described)


def _runs(model: VOSModel, probe: _Probe) -> dict[str, Callable[..., tuple[Tensor, ...]]]:
    """The methods that the model has."""
    f, p = len(probe.tensors["features"]), 1 + len(probe.tensors["carry"])
    features, state, prediction = (probe.make[each] for each in ("features", "state", "prediction"))

    def encode(frames: Tensor) -> tuple[Tensor, ...]:
        found = model.encode(frames)
        return (found,) if isinstance(found, Tensor) else tuple(found)

    def predict(*given: Tensor) -> tuple[Tensor, ...]:
        found = model.predict(features(given[:f]), state(given[f:]))
        return (found.logits, *found.carry)

    def advance(*given: Tensor) -> tuple[Tensor, ...]:
        probs, after = model.advance(features(given[:f]), prediction(given[f : f + p]), state(given[f + p :]))
        return (probs, *after)

    def annotate(*given: Tensor) -> tuple[Tensor, ...]:
        return tuple(model.annotate(features(given[:f]), given[f], given[f + 1], state(given[f + 2 :])))

    def describe(*given: Tensor) -> tuple[Tensor, ...]:
        return (model.describe(features(given)),)

    found: dict[str, Callable[..., tuple[Tensor, ...]]] = {"encode": encode, "predict": predict, "advance": advance}
    if not model.finds_objects:
        found["annotate"] = annotate
    if probe.described == "describe":
        found["describe"] = describe
    return found


def _names(part: str, probe: _Probe) -> list[str]:
    if part in probe.fields:
        return [f"{part}_{name}" for name in probe.fields[part]]
    return [f"carry_{n}" for n in range(len(probe.tensors[part]))] if part == "carry" else [part]


def _spec(name: str, tensors: Sequence[Tensor], probes: Sequence[_Probe]) -> TensorSpec:
    sizes = [probe.sizes for probe in probes]
    shape = tuple(words_for(dims, sizes) for dims in zip(*(each.shape for each in tensors), strict=True))
    return TensorSpec(name, str(tensors[0].dtype).removeprefix("torch."), shape)


def _whole(side: int, model: VOSModel) -> int:
    return side + -side % model.stride


def _renamed(spec: TensorSpec) -> TensorSpec:
    """A field of the next state."""
    return TensorSpec("next_" + spec.name.removeprefix("state_"), spec.dtype, spec.shape)
