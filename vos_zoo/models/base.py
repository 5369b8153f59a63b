"""The contract that every model keeps, and all that the engine and the trainer know of a model.

Letters: B clips, K objects (slots), H x W pixels of the model grid, a multiple of `stride` in both directions.

    encode(frames)                      frames (B, 3, H, W) float RGB in [0, 1] -> features: a Tensor or a NamedTuple of Tensors, frames
                                        first. There is no recurrence in it, so many frames may be encoded at once. Mean and std
                                        are the model's.
    start(features, masks, active)      masks (B, K, H, W) in [0, 1] of the annotated frame -> State
    predict(features, state)            -> Prediction: every object by itself, as log odds
    advance(features, prediction, state)  objects compete -> probs (B, 1 + K, H, W), background first, summing to 1; next State
    step(features, state)               predict, then advance
    annotate(features, masks, given, state)   the frame that `state` has just been advanced to gets masks for the slots in
                                        `given`: a correction, or (K grows) a new object -> State. Pixels of a given object
                                        are taken from the others
    keep(state, slots)                  the State of those slots only

A State is a NamedTuple of tensors whose first two dimensions are B and K. Its field `masks` holds the soft masks as the model
feeds them back. State is an argument and a result: a model keeps nothing between calls, so that one model serves any number of
videos. No file, no device and no loop over a video inside a model.

Training uses the same methods; it only puts a loss on the Prediction.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn


class Prediction(NamedTuple):
    logits: Tensor  # (B, K, H, W) log odds of each object by itself, before objects compete
    auxiliary: tuple[Tensor, ...] = ()  # (B, K, h, w) coarser log odds, for training losses only


class VOSModel(nn.Module):
    """Base class of all models. A subclass names its `Config` (a frozen dataclass of plain values) and takes one."""

    Config: ClassVar[type]
    stride: ClassVar[int] = 16  # frames are padded to multiples of this
    padding: ClassVar[str] = "zeros"  # how: "reflect" or "zeros"
    needs_first_frame: ClassVar[bool] = True  # False: start and annotate ignore their features, so callers may pass None

    def encode(self, frames: Tensor) -> Any:
        raise NotImplementedError

    def start(self, features: Any, masks: Tensor, active: Tensor | None = None) -> Any:
        """First State. active (B, K) bool: slots in use; None means all."""
        raise NotImplementedError

    def predict(self, features: Any, state: Any) -> Prediction:
        raise NotImplementedError

    def advance(self, features: Any, prediction: Prediction, state: Any) -> tuple[Tensor, Any]:
        raise NotImplementedError

    def step(self, features: Any, state: Any) -> tuple[Tensor, Any]:
        return self.advance(features, self.predict(features, state), state)

    def annotate(self, features: Any, masks: Tensor, given: Tensor, state: Any) -> Any:
        """masks (B, K, H, W); given (B, K) bool. K may exceed the state's: the slots behind are new and must be given."""
        raise NotImplementedError

    def keep(self, state: Any, slots: Tensor) -> Any:
        """slots: int64 (k,), indices of the slots that stay, in their new order."""
        return type(state)(*(field.index_select(1, slots) for field in state))
