"""One video, frame by frame, driven by hand: step, annotate, remove."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vos_zoo.engine import tracker
from vos_zoo.engine.inputs import InputSpec
from vos_zoo.engine.members import Engine
from vos_zoo.engine.tracker import FrameResult, SessionState, Tracker
from vos_zoo.errors import MaskError, VideoError
from vos_zoo.masks.packing import id_type
from vos_zoo.masks.read import ObjectMasks, read_mask
from vos_zoo.masks.source import MaskLike
from vos_zoo.pointing.prompts import Prompts, Told
from vos_zoo.pointing.video import mask_of
from vos_zoo.system.host import undisturbed
from vos_zoo.system.values import entries, whole
from vos_zoo.videos.images import check_pixels, read_frame
from vos_zoo.videos.source import FrameLike

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Session:
    """The state of one video. `Segmenter.start` makes it, `step` takes the next frame and returns its mask.

    The state's size depends on the number of objects and the frame size, not on the length of the video, unless the model was asked to
    remember more and more frames. One session, one video; any number of sessions share a model. Frames are (H, W, 3) uint8 RGB, all of
    one size; masks are (H, W) arrays of ids, 0 background. What fails or is interrupted leaves the session at the frame before.

    Attributes:
        object_ids: ids followed now, ascending by when they came. Of a model that finds the objects itself: those that it has shown so far.
        index: number of the frame stepped last; 0 is the one that `start` was given.
        confidence: id -> mean probability over the pixels that the object was given in the last frame, in [0, 1]; 0 if it got none, 1
            where its mask was given.
        lost: ids that the last frame did not show with any certainty: no pixel, or a confidence under 0.6.
        size: (H, W) of frames and masks.
        state: all that changes from frame to frame, as one value.

    Example:
        >>> import numpy as np, vos_zoo
        >>> frames = np.full((3, 96, 128, 3), 90, np.uint8)
        >>> frames[:, 30:60, 40:80] = (220, 40, 40)
        >>> session = vos_zoo.load("crvos-resnet18", device="cpu").start(frames[0], frames[0, :, :, 0] > 200)
        >>> session.step(frames[1]).shape, session.index, session.object_ids
        ((96, 128), 1, (1,))
    """

    def __init__(self, engine: Engine, frame: np.ndarray, masks: ObjectMasks | None, spec: InputSpec | None = None):
        """masks: None for a model that finds the objects itself."""
        frame = checked_frame(frame, None)
        height, width = frame.shape[:2]
        with undisturbed():
            self._tracker = Tracker(engine, (height, width), spec or InputSpec(), finds_objects=masks is None)
            self.state = self._tracker.begin(frame, masks)

    @property
    def size(self) -> tuple[int, int]:
        return self._tracker.size

    @property
    def index(self) -> int:
        return self.state.index

    @property
    def confidence(self) -> dict[int, float]:
        return self.state.confidence

    @property
    def lost(self) -> tuple[int, ...]:
        return self.state.lost

    @property
    def object_ids(self) -> tuple[int, ...]:
        return self.state.object_ids

    def step(self, frame: FrameLike) -> np.ndarray:
        """Go on to the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB, as an array, a tensor or a PIL image.

        Returns:
            The frame's mask: (H, W) ids, uint8, or int32 if an id exceeds 254.

        Raises:
            VideoError: the frame is of another size or another kind. The session stays at the frame before.

        Example:
            >>> import numpy as np, vos_zoo
            >>> frames = np.full((3, 96, 128, 3), 90, np.uint8)
            >>> frames[:, 30:60, 40:80] = (220, 40, 40)
            >>> session = vos_zoo.load("crvos-resnet18", device="cpu").start(frames[0], frames[0, :, :, 0] > 200)
            >>> int(session.step(frames[1]).max())
            1
        """
        step_together([self], [checked_frame(frame, self.size)])
        return self.current()

    def annotate(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        advance: bool = True,
        resize_mask: bool = False,
        **told: Unpack[Told],
    ) -> np.ndarray:
        """Give the masks of some objects, new or known, on a frame; the others are propagated as usual.

        Args:
            frame: the next frame, or with advance=False the frame that was stepped last.
            mask: anything `propagate` takes. A dict or a boolean stack may also say that an object is not there, by an empty layer.
                Pixels of a given object are taken from the others.
            advance: True takes the place of `step`, for the next frame. False corrects the frame that was stepped last.
            resize_mask: bring a mask of another size to the video's instead of raising MaskError.
            told: points, boxes, scribbles, pointer, as in `propagate`; with advance=False they correct the frame's mask.

        Returns:
            The frame's mask, as `step` returns it.

        Raises:
            MaskError: the mask can't be read, does not fit, or holds no object; or the model finds the objects itself.
            VideoError: the frame does not fit. In both cases nothing has changed.

        Example:
            >>> import numpy as np, vos_zoo
            >>> frames = np.full((3, 96, 128, 3), 90, np.uint8)
            >>> frames[:, 30:60, 40:80] = (220, 40, 40)
            >>> session = vos_zoo.load("crvos-resnet18", device="cpu").start(frames[0], frames[0, :, :, 0] > 200)
            >>> other = np.zeros((96, 128), bool)
            >>> other[70:90, 10:30] = True
            >>> mask = session.annotate(frames[1], {7: other})
            >>> session.object_ids, bool((mask[other] == 7).all())
            ((1, 7), True)
        """
        frame = checked_frame(frame, self.size)
        if self._tracker.finds_objects:
            raise MaskError(
                "this model finds the objects itself and takes no masks: call step(frame), or use a model that follows given ones"
            )
        mask = Prompts.beside(mask, told)
        if mask is None:
            raise MaskError("nothing was given for this frame: pass a mask, points, boxes or scribbles; to go on without call step(frame)")
        before = None if advance or not self.state.labels.any() else self.state.labels
        mask = mask_of(frame, mask, device=self._tracker.lead.device, resize=resize_mask, before=before)
        masks = read_mask(mask, size=self.size, resize=resize_mask, allow_empty=True)
        if not masks.ids:
            raise MaskError(
                "the mask holds no object: every pixel is background (0). To go on without a mask call step(frame); to say "
                "that an object is gone pass {id: an empty mask} or call remove(id)"
            )
        if advance:
            self.run([frame], masks)
        else:
            with undisturbed():
                self.state = self._tracker.annotate(self.state, frame, masks)
        return self.current()

    def run(self, frames: Sequence[np.ndarray], masks: ObjectMasks | None = None) -> list[FrameResult]:
        """What `step` gives for several frames one after another, encoded in one batch and brought back from the device in one go.

        Args:
            frames: as `checked_frame` gives them.
            masks: of the first of them, as `annotate` takes them.

        Returns:
            What each frame came to.
        """
        with undisturbed():
            states = self._tracker.run(self.state, frames, masks)
        self.state = states[-1] if states else self.state
        return [state.result for state in states]

    def remove(self, ids: int | Iterable[int]) -> None:
        """Stop following objects.

        Args:
            ids: of one object, or of several.

        Raises:
            MaskError: ids that are not followed; the message names those that are.

        Example:
            >>> import numpy as np, vos_zoo
            >>> frame = np.full((96, 128, 3), 90, np.uint8)
            >>> mask = np.zeros((96, 128), np.uint8)
            >>> mask[30:60, 40:60], mask[30:60, 70:90] = 1, 2
            >>> session = vos_zoo.load("crvos-resnet18", device="cpu").start(frame, mask)
            >>> session.remove(1)
            >>> session.object_ids
            (2,)
        """
        given = [ids] if isinstance(ids, (int, np.integer)) else entries(ids, "what to remove", MaskError)
        gone = {whole(each, "the id of an object", -(2**31), 2**31, MaskError) for each in given}
        if unknown := sorted(gone - set(self.object_ids)):
            raise MaskError(f"objects {list(map(int, unknown))} are not followed; those that are: {list(self.object_ids)}")
        with undisturbed():
            self.state = self._tracker.remove(self.state, gone)

    def current(self) -> np.ndarray:
        """The mask of the frame stepped last, (H, W) ids."""
        return self.state.labels.astype(id_type(self.state.ids))

    def frames_at_once(self) -> int:
        """How many frames `run` should be given: those that the device encodes best together."""
        return self._tracker.frames_at_once()

    def state_bytes(self) -> int:
        """Size of the model's state of this video, bytes."""
        return tracker.state_bytes(self.state)

    def batch_key(self) -> Hashable:
        """Equal for sessions whose next frames are worth computing as one batch; None while no object is followed."""
        return self._tracker.batch_key(self.state)

    @staticmethod
    def _step_together(sessions: Sequence[Session], frames: Sequence[np.ndarray]) -> None:
        with undisturbed():
            states = tracker.step_together([each._tracker for each in sessions], [each.state for each in sessions], frames)
        for session, state in zip(sessions, states, strict=True):
            session.state = state


def step_together(sessions: Sequence[Session], frames: Sequence[np.ndarray]) -> None:
    """The next frame of each session, in one batch; their `batch_key` must be equal. Frames as `checked_frame` gives them.

    What is interrupted before the end leaves every session at the frame before, or at this one.
    """
    Session._step_together(sessions, frames)


def checked_frame(frame: FrameLike, size: tuple[int, int] | None) -> np.ndarray:
    """The frame as an (H, W, 3) uint8 array, or VideoError that says what is wrong with it."""
    if isinstance(frame, np.ndarray):
        check_pixels(frame, "the frame")
    else:
        frame = read_frame(frame, "the frame")
    if size is not None and frame.shape[:2] != size:
        raise VideoError(
            f"this frame is {frame.shape[1]}x{frame.shape[0]}, the session's are {size[1]}x{size[0]}: resize the frame, or "
            "start a new session for another video"
        )
    return frame


__all__ = ["FrameResult", "Session", "SessionState", "checked_frame", "step_together"]
