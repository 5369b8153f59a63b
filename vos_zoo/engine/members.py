"""What computes: models on their devices, in their precision, with batch norms merged; one, or several that decide together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vos_zoo.engine.appearance import Appearance
from vos_zoo.engine.grid import Grid, make_grid
from vos_zoo.engine.inputs import InputSize, InputSpec, TTALike
from vos_zoo.engine.redetection import Redetector
from vos_zoo.engine.views import Branch, branches_of, leader
from vos_zoo.errors import VosZooError
from vos_zoo.models.base import VOSModel
from vos_zoo.models.parts.folding import folded
from vos_zoo.system.devices import DeviceLike, DTypeLike, choose_device, choose_dtype
from vos_zoo.system.host import check_device, undisturbed
from vos_zoo.system.notebook import as_table

if TYPE_CHECKING:
    from vos_zoo.checkpoints.config import ModelConfig

MAX_SHARED_LOOK = 2.0  # times the describer's usual frame: on a larger grid a look would take too long
LIGHT_LOOK = 0.75  # of its usual shorter side, where only the look needs the describer: as good, in little more than half the time


class Member:
    """A model with its config, on its device.

    describer: whose features find a lost object again: True, this model's own; another Member; False, it is not looked for. VosZooError
    if that model `describes` nothing. adapts: whether a copy is adapted to the annotated frames of each video first.
    """

    def __init__(
        self,
        model: VOSModel,
        config: ModelConfig,
        *,
        device: DeviceLike,
        dtype: DTypeLike,
        describer: Member | bool,
        adapts: bool = False,
    ):
        self.config, self.adapts = config, adapts
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.model = model.eval()
        self._describer = describer
        if self.describer is not None and not self.describer.model.describes:
            name = self.describer.config.name
            raise VosZooError(f"{name} can't find lost objects by their looks, its features are not made for that: pass redetection=False")
        self._prepare()

    @property
    def describer(self) -> Member | None:
        """Whose features find a lost object again, this one's or another's; None: it is not looked for."""
        return self if self._describer is True else self._describer or None

    @property
    def precision(self) -> str:
        """In which the model computes: "float32", "bfloat16", "float16" or "int8"."""
        return str(getattr(self.model, "precision", None) or self.dtype).removeprefix("torch.")

    @property
    def inference_model(self) -> VOSModel:
        """The model that computes: `model` itself, or where that has batch norms a copy with these merged into the convolutions."""
        if self._prepared != _fingerprint(self.model):  # somebody gave it other weights
            self._prepare()
        return self._inference_model

    def check(self, spec: InputSpec) -> None:
        """VosZooError if the model can't take frames like that, whatever the video."""
        spec.check_fits(self.model.stride)
        if len(spec.tta.views) > 1 and self.model.finds_objects:
            raise VosZooError(
                f"{self.config.name} finds the objects itself, and what is object 1 in one view may be object 2 in another: leave tta out"
            )

    def grid(self, video: tuple[int, int], spec: InputSpec) -> Grid:
        """How frames of (height, width) lie on the model's grid."""
        short_side, inner = spec.short_side, spec.exact
        if short_side is None and inner is None and not spec.native:
            short_side, inner = self.config.preprocess.short_side, self.config.preprocess.size
        return make_grid(video, short_side=short_side, stride=self.model.stride, padding=self.model.padding, inner=inner)

    def branches(self, video: tuple[int, int], spec: InputSpec, weight: float = 1.0) -> list[Branch]:
        """The views of a video of (height, width) that decide together; weight: their share among all members'."""
        check_device(self.device)
        found = branches_of(self.inference_model, self.device, self.grid(video, spec), spec.tta)
        return [replace(branch, weight=branch.weight * weight) for branch in found]

    def redetector(self, branches: Sequence[Branch], video: tuple[int, int]) -> Redetector:
        """Looks for the objects that these branches follow, by this member's features: a branch's own, where one has them."""
        model, usual = self.inference_model, self.grid(video, InputSpec())
        for n, branch in enumerate(branches):
            if branch.model is model and not branch.flipped and _times(branch.grid, usual) <= MAX_SHARED_LOOK:
                return Redetector(Appearance(branch, n), branches)
        own = any(branch.model is model for branch in branches)
        look = usual if own else self.grid(video, InputSpec(short_side=max(1, round(LIGHT_LOOK * min(usual.inner)))))
        followed = branches[leader(branches)].grid
        if _times(followed, look) < 1 and min(followed.inner) >= model.stride:  # who wants small frames wants them followed fast
            look = self.grid(video, InputSpec(exact=followed.inner))
        return Redetector(Appearance(Branch(model, self.device, look)), branches)

    def _prepare(self) -> None:
        made_for_inference = any(parameter.is_inference() for parameter in self.model.parameters())  # by a caller: so they stay
        with undisturbed(inference=made_for_inference):
            inference_model = folded(self.model)
            for each in (self.model, inference_model):
                each.to(self.device, self.dtype).to(memory_format=torch.channels_last)
                for parameter in each.parameters():
                    parameter.requires_grad_(False)
        self._inference_model, self._prepared = inference_model, _fingerprint(self.model)


class Engine:
    """Members that decide together, usually one. What a Segmenter is beneath its ways through videos.

    config: of all together; weights: the members' shares in every decision, which sum to 1.
    """

    def __init__(self, members: Sequence[Member], config: ModelConfig, weights: Sequence[float]):
        self._members, self._config, self.weights = tuple(members), config, tuple(weights)

    @property
    def config(self) -> ModelConfig:
        return self._config

    @config.setter
    def config(self, config: ModelConfig) -> None:
        self._config = config
        if len(self._members) == 1:
            self._members[0].config = config

    @property
    def model(self) -> Any:
        """The model, a VOSModel, as it was loaded. Of an ensemble: a ModuleList of its members'."""
        return _one_or_all([member.model for member in self._members])

    @property
    def inference_model(self) -> Any:
        """The model that computes: `model` itself, or a copy with batch norms merged. Of an ensemble: a ModuleList of its members'."""
        return _one_or_all([member.inference_model for member in self._members])

    @property
    def device(self) -> torch.device:
        return self._members[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the model; of an ensemble, of its first."""
        return self._members[0].dtype

    @property
    def precision(self) -> str:
        """In which the model computes, by name; of an ensemble, its first."""
        return self._members[0].precision

    @property
    def runtime(self) -> str:
        """What computes the model, "torch" or "onnxruntime"; of an ensemble, all of its members'."""
        return " and ".join(sorted({member.model.runtime for member in self._members}))

    @property
    def describer(self) -> Member | None:
        """Whose features find a lost object again; None: it is not looked for.

        The first member's, if every member has one: a member that does not ask for it finds lost objects itself.
        """
        found = [member.describer for member in self._members]
        return found[0] if all(found) else None

    @property
    def finds_objects(self) -> bool:
        """Whether the model finds the objects itself (zero-shot) instead of following those of a mask."""
        return any(member.model.finds_objects for member in self._members)

    @property
    def adapts(self) -> bool:
        """Whether a copy is adapted to the annotated frames of each video first (quality="best")."""
        return any(member.adapts for member in self._members)

    def input_spec(self, size: InputSize = None, tta: TTALike = None) -> InputSpec:
        """The arguments `size` and `tta` of `propagate`, checked for every member; VosZooError if one can't be right."""
        spec = InputSpec.of(size, tta)
        for member in self._members:
            member.check(spec)
        return spec

    def grid_for(self, video: tuple[int, int], size: InputSize = None) -> Grid:
        """The model grid for frames of (height, width), of an ensemble that of the first member; size: as in `propagate`."""
        return self._members[0].grid(video, self.input_spec(size))

    def branches_for(self, video: tuple[int, int], spec: InputSpec) -> list[Branch]:
        """The views of a video of (height, width) that decide together, of all members."""
        rows = zip(self._members, self.weights, strict=True)
        return [branch for member, weight in rows for branch in member.branches(video, spec, weight)]

    def redetector_for(self, branches: Sequence[Branch], video: tuple[int, int]) -> Redetector | None:
        """What looks after the objects of a video of (height, width) that these branches follow; None: nobody."""
        return self.describer.redetector(branches, video) if self.describer else None

    def info(self) -> dict[str, Any]:
        """What this is: name, architecture, arguments, parameters, input size, device, precision, licence, measured scores.

        Of an ensemble, `members` has that of each, and its weight.

        Example:
            >>> import vos_zoo
            >>> vos_zoo.load("crvos-resnet18", device="cpu").info()["architecture"]
            'CRVOS'
        """
        info: dict[str, Any] = {
            "name": self.config.name,
            "architecture": self.config.architecture,
            "model_args": dict(self.config.model_args),
            "parameters": sum(p.numel() for p in self.model.parameters()) or sum(each.config.parameters or 0 for each in self._members),
            "short_side": self.config.preprocess.short_side,
            "size": self.config.preprocess.size,
            "redetection": self.describer.config.name if self.describer else None,
            "device": str(self.device),
            "dtype": self.precision,
            "runtime": self.runtime,
            "licence": self.config.licence,
            "paper": dict(self.config.paper),
            "metrics": list(self.config.metrics),
        }
        if len(self._members) > 1:
            rows = zip(self._members, self.weights, strict=True)
            members = [{**Engine([member], member.config, [1.0]).info(), "weight": weight} for member, weight in rows]
            info.update(dtype=" and ".join(sorted({each["dtype"] for each in members})), members=members)
        return info

    def _repr_html_(self) -> str:
        return as_table(f"Segmenter {self.config.name}", self.info())


def describer_of(redetection: Engine | bool) -> Member | bool:
    """From what `redetection=` takes. VosZooError if it is not the features of one model."""
    if isinstance(redetection, bool):
        return redetection
    if not isinstance(redetection, Engine):
        raise VosZooError(f"redetection is True, False or a Segmenter whose features find lost objects, not {redetection!r:.80}")
    if len(redetection._members) > 1:
        raise VosZooError(
            f"redetection takes the features of one model, and {redetection.config.name} is an ensemble: pass one of its members, "
            "redetection=ensemble.members[0]"
        )
    return redetection._members[0]


def _one_or_all(models: Sequence[VOSModel]) -> VOSModel | torch.nn.ModuleList:
    return models[0] if len(models) == 1 else torch.nn.ModuleList(models)


def _fingerprint(model: VOSModel) -> list[int]:
    """Changes when the model is another, or its weights were written to."""
    tensors = (*model.parameters(), *model.buffers())
    return [id(model), *(0 if tensor.is_inference() else tensor._version for tensor in tensors)]


def _times(grid: Grid, other: Grid) -> float:
    """How much larger a frame is on one grid than on another."""
    return math.prod(grid.inner) / math.prod(other.inner)
