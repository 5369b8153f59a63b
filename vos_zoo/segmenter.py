"""Segmenter: one model, or several that decide together, ready for videos. Frames, ids, sizes, devices; no model's internals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vos_zoo.checkpoints.build import check_follows, trained
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.quality import quality_of, scaled
from vos_zoo.checkpoints.sources import Source, find_one
from vos_zoo.engine.batched import OnError, Opened, checked_jobs, run
from vos_zoo.engine.inputs import InputSize, InputSpec, TTALike
from vos_zoo.engine.members import Member, describer_of
from vos_zoo.engine.propagation import Annotations, Direction, Propagation, annotated_frames
from vos_zoo.engine.read_ahead import Mode, checked_mode
from vos_zoo.engine.session import Session, checked_frame
from vos_zoo.errors import MaskError, VosZooError
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.masks.source import MaskLike, MasksLike
from vos_zoo.models.base import VOSModel
from vos_zoo.pointing.prompts import Prompts, Told
from vos_zoo.pointing.video import mask_of, pointed
from vos_zoo.publish.saving import Saving
from vos_zoo.runtimes.find import check_runtime, graph_model
from vos_zoo.system.devices import DeviceLike, DTypeLike
from vos_zoo.system.progress import Progress
from vos_zoo.videos.source import FrameLike, VideoSource
from vos_zoo.videos.video import Video, open_video

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Streamed(NamedTuple):
    """One item of `Segmenter.stream`."""

    index: int  # type: ignore[assignment]  # of the frame in the video
    frame: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W) ids, 0 background


class Segmenter(Saving):
    """A model that follows objects through videos. `vos_zoo.load` makes one; `ensemble` makes one of several.

    Attributes:
        config: the checkpoint's config. Of an ensemble: names and licences joined.
        members: Segmenters of one model each, usually this one alone.
        weights: the members' shares in every decision, which sum to 1.

    Args:
        model: a model; or Members, which keep their own device, precision and redetection.
        config: its config.
        device: "auto" is cuda, else mps, else cpu; or any torch device.
        dtype: "auto" is half precision where the device computes in it (bfloat16 on a GPU or CPU that has it, float16 on older GPUs),
            else float32; or "float32", "bfloat16", "float16".
        redetection: whose features find a lost object again by its looks (see `redetection.py`): True, this model's own; a Segmenter of
            one model, that one's; False: it is not looked for.
        adapts: whether a copy is adapted to the annotated frames of each video first, as quality="best" has it.
        weights: of several Members.

    Raises:
        VosZooError: device or dtype can't be used here, or redetection's model `describes` nothing or is several.

    Example:
        >>> import vos_zoo
        >>> segmenter = vos_zoo.load("crvos-resnet18", device="cpu", dtype="float32")
        >>> segmenter
        <Segmenter crvos-resnet18 (CRVOS) on cpu, float32>
    """

    def __init__(
        self,
        model: VOSModel | Sequence[Member],
        config: ModelConfig,
        *,
        device: DeviceLike = "auto",
        dtype: DTypeLike = "auto",
        redetection: Segmenter | bool = False,
        adapts: bool = False,
        weights: Sequence[float] = (1.0,),
    ):
        if not isinstance(model, Sequence):
            model = [Member(model, config, device=device, dtype=dtype, describer=describer_of(redetection), adapts=adapts)]
        super().__init__(model, config, weights)

    @property
    def members(self) -> tuple[Segmenter, ...]:
        return (self,) if len(self._members) == 1 else tuple(Segmenter([each], each.config) for each in self._members)

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **options: Any) -> Segmenter:
        """`vos_zoo.load` of one model, under the name that Hub users know.

        Its arguments, what it returns and what it raises are those of `vos_zoo.load`; errors come before anything is built.
        """
        source, describer, options = find_one(name_or_path, **options)
        return cls.from_source(source, describer=describer, **options)

    @classmethod
    def from_source(
        cls,
        source: Source,
        *,
        describer: Source | None = None,
        device: DeviceLike = "auto",
        dtype: DTypeLike = "auto",
        runtime: str = "torch",
        quality: str = "normal",
        **args: object,
    ) -> Segmenter:
        """A checkpoint that has been found. describer: whose features find lost objects again. args: replace those of the config."""
        check_runtime(runtime)
        check_follows(source.config)
        wanted = quality_of(quality, runtime)
        how: dict[str, Any] = {"device": device, "dtype": dtype}
        other = None if describer is None or describer is source else cls.from_source(describer, runtime=runtime, **how)
        if runtime == "torch":
            model, config = trained(source, args)
        else:
            model, config = graph_model(source, args, device=device, dtype=dtype)
            how = {"device": "cpu", "dtype": "float32"}
        config, adapts = scaled(config, wanted), wanted.adapts and not model.finds_objects
        return cls(model, config, **how, redetection=other or describer is source, adapts=adapts)

    def propagate(
        self,
        video: VideoSource,
        first_mask: MaskLike | None = None,
        *,
        masks: MasksLike | None = None,
        direction: Direction = "forward",
        size: InputSize = None,
        resize_mask: bool = False,
        backend: str = "auto",
        tta: TTALike = None,
        finetune: bool | int | None = None,
        mode: Mode = "auto",
        progress: Progress = None,
        stop: Callable[[], bool] | None = None,
        **told: Unpack[Told],
    ) -> MaskSequence:
        """Masks of all frames, from the mask of one; of a zero-shot model, which finds the objects itself, from none.

        Args:
            video: a file, a folder of images, a (T, H, W, 3) uint8 array or tensor, a list or generator of frames, a camera index or
                stream URL: see `vos_zoo.open_video`. Frames are read as they are needed.
            first_mask: the objects of frame 0, in any form that `vos_zoo.read_mask` names: a path to an indexed PNG, an (H, W) array of
                ids, a (K, H, W) boolean array, a dict id -> mask, ... None for a zero-shot model: its objects are the numbers of its
                slots, of which the result holds those that ever get a pixel.
            masks: annotated frames, {index: mask}, or a folder of mask files; instead of first_mask or beside it. A later mask brings
                new objects, and corrects those it shows.
            direction: "forward", from the first annotated frame to the end; "backward", from the last annotated frame to the start;
                "both": every object is followed in both directions, and the annotation nearer in time decides.
            size: what the frames are resized to inside the model: the shorter side in pixels, (height, width), or "native"; default:
                what the checkpoint was made for. Masks always come back at the video's size. Frames more than three times as long as
                high are made smaller than that, so that none costs much more than an ordinary one.
            resize_mask: bring masks of another size to the video's (nearest neighbour) instead of raising MaskError.
            backend: "auto", "pyav" or "decord".
            tta: test-time augmentation, several views of each frame that decide together: "flip" (mirrored too), "scales" (1, 1.2 and
                1.4 times the size), True (both), or TTA(flip=..., scales=...). Each view costs a pass and has a state of its own.
            finetune: True, or a number of steps: a copy first learns the annotated frames, see `finetune`; None: as the quality says.
            mode: "throughput": frames are read ahead, and on a GPU encoded several at once; "latency": a frame is read when the mask
                before it is done. Masks are the same but for rounding. Default: throughput for what can be read again, else latency.
            progress: True or False; a function (frames done, frames in all or None); default: a bar when standard error is a terminal.
            stop: called after every frame; when it returns True, what is done so far is returned.
            told: points, boxes, scribbles, pointer: what to follow, pointed at in frame 0, in place of first_mask or to correct it. snap:
                first_mask is a loose one, such as a circle around the object, and is fitted to it first. See `vos_zoo.Prompts`, which does
                the same for any frame in first_mask and masks.

        Returns:
            A MaskSequence as long as the video; frames before the first annotation, or after a stop, are marked as not computed.

        Raises:
            VosZooError: VideoError, MaskError or another, before any work where that can be known. Whatever ends the work midway, Ctrl-C
                included, carries the finished frames: `except KeyboardInterrupt as interrupt: interrupt.masks`.

        Example:
            >>> import numpy as np, vos_zoo
            >>> video = np.full((3, 96, 128, 3), 90, np.uint8)
            >>> video[:, 30:60, 40:80] = (220, 40, 40)
            >>> masks = vos_zoo.load("crvos-resnet18", device="cpu").propagate(video, video[0, :, :, 0] > 200, progress=False)
            >>> len(masks), masks.object_ids, masks[2].shape
            (3, (1,), (96, 128))
        """
        mode, spec, first_mask = checked_mode(mode), self.input_spec(size, tta), Prompts.beside(first_mask, told)
        source, annotations = self._checked(video, first_mask, masks, direction, spec, resize_mask, backend)
        engine = self
        if self.adapts if finetune is None else finetune is not False:
            steps, quiet = None if finetune is True else finetune, False if callable(progress) else progress
            engine = self.finetune(*annotations.examples(source), steps=steps, size=size, progress=quiet)
        propagation = Propagation(engine, source, annotations, direction, spec=spec, mode=mode, progress=progress, stop=stop)
        return propagation.run()

    def propagate_many(
        self,
        videos: Iterable[VideoSource],
        first_masks: Iterable[MaskLike | None] | None = None,
        *,
        masks: Iterable[MasksLike | None] | None = None,
        batch: int = 4,
        size: InputSize = None,
        resize_mask: bool = False,
        backend: str = "auto",
        tta: TTALike = None,
        progress: Progress = None,
        on_error: OnError = None,
    ) -> Iterator[tuple[int, MaskSequence]]:
        """(index, masks) of every video, each as soon as it is done; `batch` videos share each pass through the model.

        For GPUs that one video does not fill; on a CPU it takes as long as one video after another. The masks are those that `propagate`
        gives for each video by itself, but for rounding: a batch is not summed in the order in which a single frame is, so where two
        objects are all but equally likely a pixel may differ (in float32 under one in ten thousand).

        Args:
            videos: a list, or a generator of any length. It is read as it is needed, some videos ahead, so that videos whose frames are
                of one size inside the model (and only these) run together.
            first_masks: one entry a video, as `propagate` takes them; None where there is none.
            masks: as first_masks.
            batch: how many videos run together at most.
            size: as in `propagate`, for all videos; so are resize_mask, backend and tta.
            progress: as in `propagate`, but it counts videos.
            on_error: called with (index, error) of a video that can't be opened or read, or whose masks don't fit; the others go on.
                Default: a VosZooWarning. A function that raises ends the work. error.masks holds the frames of one that failed midway.

        Yields:
            The video's number in `videos`, and its MaskSequence.

        Raises:
            VosZooError: at the call, if the arguments can't be right.
            MaskError: there are not as many masks as videos.

        Example:
            >>> import numpy as np, vos_zoo
            >>> video = np.full((2, 96, 128, 3), 90, np.uint8)
            >>> video[:, 30:60, 40:80] = (220, 40, 40)
            >>> segmenter = vos_zoo.load("crvos-resnet18", device="cpu")
            >>> found = segmenter.propagate_many([video, video], [video[0, :, :, 0] > 200] * 2, progress=False)
            >>> sorted((index, len(masks)) for index, masks in found)
            [(0, 2), (1, 2)]
        """
        if self.adapts:
            raise VosZooError("quality='best' adapts a copy of the model to each video: use propagate, or load it with another quality")
        jobs, total = checked_jobs(videos, first_masks, masks, batch)
        spec = self.input_spec(size, tta)

        def opened(video: VideoSource, first_mask: MaskLike | None, later: MasksLike | None) -> Opened:
            source, annotations = self._checked(video, first_mask, later, "forward", spec, resize_mask, backend)
            grids = tuple((branch.grid.inner, branch.grid.pads) for branch in self.branches_for(annotations.size, spec))
            return Opened(source, annotations, video, grids)

        return run(self, jobs, opened, total=total, batch=batch, spec=spec, progress=progress, on_error=on_error)

    def stream(
        self,
        video: VideoSource,
        first_mask: MaskLike | None = None,
        *,
        masks: MasksLike | None = None,
        size: InputSize = None,
        resize_mask: bool = False,
        backend: str = "auto",
        tta: TTALike = None,
        mode: Mode = "auto",
        drop: str | None = "auto",
        **told: Unpack[Told],
    ) -> Iterator[Streamed]:
        """(index, frame, mask) of every frame from the first annotated one on, in constant memory: for live sources and long files.

        drop="late": of frames that come faster than their masks the newest is taken each time; "auto": of cameras and endless streams only;
        None: never. Indices count all frames, a VosZooWarning says how many were left out. Else as `propagate`; errors come at the call.

        Example:
            >>> import numpy as np, vos_zoo
            >>> frame = np.full((96, 128, 3), 90, np.uint8)
            >>> frame[30:60, 40:80] = (220, 40, 40)
            >>> segmenter = vos_zoo.load("crvos-resnet18", device="cpu")
            >>> [(index, mask.shape) for index, _, mask in segmenter.stream([frame] * 2, frame[:, :, 0] > 200)]
            [(0, (96, 128)), (1, (96, 128))]
        """
        mode, spec, first_mask = checked_mode(mode), self.input_spec(size, tta), Prompts.beside(first_mask, told)
        source, annotations = self._checked(video, first_mask, masks, "forward", spec, resize_mask, backend)
        engine = self.finetune(*annotations.examples(source), size=size) if self.adapts else self
        steps = Propagation(engine, source, annotations, "forward", spec=spec, mode=mode, drop=drop).forward()
        return (Streamed(index, frame, result.mask) for index, frame, result in steps)

    def start(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: InputSize = None,
        resize_mask: bool = False,
        tta: TTALike = None,
        **told: Unpack[Told],
    ) -> Session:
        """A session for one video, fed by hand: `session.step(frame)` gives the next frame's mask.

        Args:
            frame: (H, W, 3) uint8 RGB, as an array, a tensor or a PIL image.
            mask: its objects, in any form that `propagate` takes; None for a zero-shot model.
            size: as in `propagate`; so are resize_mask, tta and told.

        Returns:
            The Session, at frame 0.

        Raises:
            VideoError: the frame can't be used.
            MaskError: there is no mask, or it can't be read or does not fit.

        Example:
            >>> import numpy as np, vos_zoo
            >>> frame = np.full((96, 128, 3), 90, np.uint8)
            >>> frame[30:60, 40:80] = (220, 40, 40)
            >>> session = vos_zoo.load("crvos-resnet18", device="cpu").start(frame, frame[:, :, 0] > 200)
            >>> session.step(frame).shape
            (96, 128)
        """
        spec, first, mask = self.input_spec(size, tta), checked_frame(frame, None), Prompts.beside(mask, told)
        if mask is None and not self.finds_objects:
            raise MaskError(f"no mask was given: {self.config.name} follows the objects of a mask, start(frame, mask)")
        if mask is not None and self.finds_objects:
            raise MaskError(f"{self.config.name} finds the objects itself and takes no mask: start(frame)")
        mask = mask_of(first, mask, device=self.device, resize=resize_mask)
        masks = None if mask is None else read_mask(mask, size=first.shape[:2], resize=resize_mask)
        return Session(self.finetune(first, masks, size=size) if self.adapts and masks is not None else self, first, masks, spec)

    def finetune(
        self,
        frame: FrameLike | Sequence[FrameLike],
        mask: MaskLike | Sequence[MaskLike | None],
        *,
        steps: int | None = None,
        lr: float | None = None,
        seed: int = 0,
        size: InputSize = None,
        resize_mask: bool = False,
        progress: Progress = None,
    ) -> Segmenter:
        """A copy that is adapted to one video by training on its annotated frame; this one stays as it is (SCM 3.3, online fine-tuning).

        Weights are trained in float32 and brought back to this Segmenter's precision. All but batch normalisation learns; where
        training left the trunk alone, what lies behind it. SCM and RVOS go half of the way to what they learned. Of an ensemble every
        member learns. The copy is a Segmenter like any other: save_pretrained keeps it. Ctrl-C leaves nothing behind.

        Args:
            frame: (H, W, 3) uint8 RGB, as `start` takes it; or a list, for several annotated frames.
            mask: its objects, as `propagate` takes them; or a list of as many. Which id is which plays no part.
            steps: of Adam, each on a short clip of one frame, altered a little from picture to picture (see `vos_zoo.train.adapt`,
                which has the defaults of steps and lr: 30 and 3e-4 behind a trunk that stays, else 80 and 1e-4).
            lr: the learning rate.
            seed: the same seed gives the same weights on the same machine.
            size: as in `propagate`; use the same for both.
            resize_mask: as in `propagate`.
            progress: as in `propagate`, but it counts steps.

        Raises:
            VosZooError: VideoError, MaskError or another, before any work; or the training diverges.

        Example:
            >>> import numpy as np, vos_zoo
            >>> frame = np.full((96, 128, 3), 90, np.uint8)
            >>> frame[30:60, 40:80] = (220, 40, 40)
            >>> segmenter = vos_zoo.load("crvos-resnet18", device="cpu")
            >>> segmenter.finetune(frame, frame[:, :, 0] > 200, steps=1, size=64, progress=False).config.name
            'crvos-resnet18-finetuned'
        """
        if self.finds_objects:
            raise VosZooError(f"{self.config.name} finds the objects itself and follows no mask, so there is nothing to adapt it to")
        self._check_torch("trained")
        spec = self.input_spec(size)
        from vos_zoo.train.online import adapted_members

        pairs = annotated_frames(frame, mask, resize=resize_mask)
        members = adapted_members(self._members, spec, pairs, steps=steps, lr=lr, seed=seed, progress=progress)
        config = members[0].config if len(members) == 1 else self.config.replace(name="+".join(each.config.name for each in members))
        return Segmenter(members, config, weights=self.weights)

    def _checked(
        self,
        video: VideoSource,
        first_mask: MaskLike | None,
        masks: MasksLike | None,
        direction: Direction,
        spec: InputSpec,
        resize_mask: bool,
        backend: str,
    ) -> tuple[Video, Annotations]:
        """The video opened and every mask read; a camera is let go of if one of them is wrong."""
        source = open_video(video, backend=backend)
        try:
            finder = self.config.name if self.finds_objects else None
            if finder is None:
                first_mask, masks = pointed(source, first_mask, masks, device=self.device, resize=resize_mask)
            annotations = Annotations.read(source, first_mask, masks, direction=direction, resize=resize_mask, finder=finder)
            self.branches_for(annotations.size, spec)
            return source, annotations
        except BaseException:
            if source is not video:
                source.close()
            raise

    def __repr__(self) -> str:
        beside = "" if self.runtime == "torch" else f", {self.runtime}"
        return f"<Segmenter {self.config.name} ({self.config.architecture}) on {self.device}, {self.precision}{beside}>"
