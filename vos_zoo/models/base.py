"""The contract that every model keeps, and all that the engine and the trainer know of a model.

Letters: B clips, K objects (slots), H x W pixels of the model grid, a multiple of `stride` in both directions.

    encode(frames)                      frames (B, 3, H, W) float RGB in [0, 1] -> features: a Tensor or a NamedTuple of Tensors, frames
                                        first. There is no recurrence in it, so many frames may be encoded at once. Mean and std
                                        are the model's.
    start(features, masks, active)      masks (B, K, H, W) in [0, 1] of the annotated frame -> State. A model that `finds_objects`
                                        also takes masks=None: the State before the first frame, which is then stepped like any other
    predict(features, state)            -> Prediction: every object by itself, as log odds
    advance(features, prediction, state)  objects compete -> probs (B, 1 + K, H, W), background first, summing to 1; next State
    step(features, state)               predict, then advance
    annotate(features, masks, given, state)   the frame that `state` has just been advanced to gets masks for the slots in
                                        `given`: a correction, or (K grows) a new object -> State. Pixels of a given object
                                        are taken from the others
    keep(state, slots)                  the State of those slots only
    replace_masks(state, masks)         the State with other masks fed back, (B, K, H, W) in [0, 1]: the truth, in training
    describe(features)                  only of a model that `describes`: (B, C, H/cell, W/cell), rounded up, by which what is seen at one
                                        place can be told from what is seen at another, in any frame

A State is a NamedTuple of tensors whose first two dimensions are B and K. Its field `masks` holds the soft masks as the model
feeds them back, `active` the slots in use. State is an argument and a result: a model keeps nothing between calls, so that one model
serves any number of videos. No file, no device and no loop over a video inside a model.

Training uses the same methods; it only puts a loss on the Prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import Self, TypeVar

Features: TypeAlias = Tensor | tuple[Tensor, ...]  # of frames, which come first in each tensor


class State(Protocol):
    """What every model's State has: a NamedTuple of tensors, each of which begins with the dimensions B and K."""

    @property
    def masks(self) -> Tensor: ...
    @property
    def active(self) -> Tensor: ...
    @property
    def _fields(self) -> tuple[str, ...]: ...
    @property
    def _replace(self) -> Callable[..., Self]: ...
    def __iter__(self) -> Iterator[Tensor]: ...


FeaturesT = TypeVar("FeaturesT", default=Any)
StateT = TypeVar("StateT", bound=State, default=Any)


class Prediction(NamedTuple):
    logits: Tensor  # (B, K, H, W) log odds of each object by itself, before objects compete
    auxiliary: tuple[Tensor, ...] = ()  # (B, K, h, w) coarser log odds, for training losses only
    carry: tuple[Tensor, ...] = ()  # (B, K, ...) whatever else this model's `advance` needs of its `predict`


class VOSModel(nn.Module, Generic[FeaturesT, StateT]):
    """Base class of all models: `class CRVOS(VOSModel[Features, State])`, with the model's own two kinds of tuples.

    A subclass names its `Config` (a frozen dataclass of plain values) and takes one.
    """

    Config: ClassVar[type]
    debug: ClassVar[Mapping[str, Any]] = {}  # arguments of the smallest model with everything in it, for tests
    stride: ClassVar[int] = 16  # frames are padded to multiples of this
    padding: ClassVar[str] = "zeros"  # how: "reflect" or "zeros"
    needs_first_frame: ClassVar[bool] = True  # False: start and annotate ignore their features, so callers may pass None
    independent: ClassVar[bool] = True  # no object's prediction depends on another's, so that they may be predicted in chunks
    describes: ClassVar[bool] = False  # True: `describe` tells things apart, so that a lost object can be found by its looks
    runtime: ClassVar[str] = "torch"  # what computes it
    adaptation: ClassVar[float] = 1.0  # how much of the way to what it learned a copy adapted to one video goes (train/adapt.py)
    objects_at_once: int = 16  # in use (not in training) more objects than these are predicted in chunks, if they are independent

    @property
    def finds_objects(self) -> bool:
        """Whether the model finds the objects itself when it is given no mask, in `config.slots` slots (zero-shot)."""
        return False

    @property
    def cell(self) -> int:
        """Pixels along the side of what `describe` describes as one place."""
        return self.stride

    def encode(self, frames: Tensor) -> FeaturesT:
        raise NotImplementedError

    def start(self, features: FeaturesT, masks: Any, active: Tensor | None = None) -> StateT:
        """First State. masks: (B, K, H, W), or None where the model finds objects. active (B, K) bool: slots in use; None means all;
        without masks it also says how many slots there are."""
        raise NotImplementedError

    def predict(self, features: FeaturesT, state: StateT) -> Prediction:
        raise NotImplementedError

    def advance(self, features: FeaturesT, prediction: Prediction, state: StateT) -> tuple[Tensor, StateT]:
        raise NotImplementedError

    def step(self, features: FeaturesT, state: StateT) -> tuple[Tensor, StateT]:
        return self.advance(features, self.predict_in_chunks(features, state), state)

    def predict_in_chunks(self, features: FeaturesT, state: StateT) -> Prediction:
        """`predict`, in chunks of objects where there are so many that memory may ask for it."""
        k, size = state.masks.shape[1], self.objects_at_once
        if not self.independent or k <= size or torch.is_grad_enabled():
            return self.predict(features, state)
        slots = torch.arange(k, device=state.masks.device)
        parts = [self.predict(features, self.keep(state, chunk)) for chunk in slots.split(size)]
        join = [tuple(torch.cat(each, 1) for each in zip(*(part[i] for part in parts), strict=True)) for i in (1, 2)]
        return Prediction(torch.cat([part.logits for part in parts], 1), *join)

    def annotate(self, features: FeaturesT, masks: Tensor, given: Tensor, state: StateT) -> StateT:
        """masks (B, K, H, W); given (B, K) bool. K may exceed the state's: the slots behind are new and must be given."""
        raise NotImplementedError

    def keep(self, state: StateT, slots: Tensor) -> StateT:
        """slots: int64 (k,), indices of the slots that stay, in their new order."""
        return state._replace(**{name: field.index_select(1, slots) for name, field in zip(state._fields, state, strict=True)})

    def replace_masks(self, state: StateT, masks: Tensor) -> StateT:
        """masks (B, K, H, W) in [0, 1] take the place of those that the model would feed back."""
        raise NotImplementedError

    def describe(self, features: FeaturesT) -> Tensor:
        raise NotImplementedError

    def trunks(self) -> list[nn.Module]:
        """The image trunks in this model: what starts from ImageNet weights (`load_imagenet`) and learns at its own rate."""
        return [module for module in self.modules() if hasattr(module, "load_imagenet")]

    def kept_trunks(self) -> list[nn.Module]:
        """Those of them whose maps of a frame can be kept, where they do not learn."""
        return self.trunks()
