"""What a training run does, stated in a YAML file: hub_configs/<name>/recipe.yaml (recipe_file.py reads it)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from vos_zoo.errors import DataError
from vos_zoo.models.parts.ops import check_threshold
from vos_zoo.train.losses import LOSSES
from vos_zoo.train.optimizers import OPTIMIZERS

GRID = 16  # crops are multiples of this in both directions


@dataclass
class Stage:
    name: str
    steps: int
    size: tuple[int, int]  # height, width of the crops, multiples of 16
    batch: int = 8  # clips a step, over all processes
    accumulate: int = 1  # parts that a process's share of a batch is computed in, one after another: less memory, the same gradient
    frames: int = 2  # frames a clip, the first included
    warm: int = 0  # predicted frames without gradient before those with
    rehearsal: int = 0  # up to so many predicted frames more before those, to and fro, also without gradient; drawn for each batch
    own: float | tuple[float, ...] = 1.0  # share of frames predicted from the model's own masks, not the true ones; several: a course
    feedback_threshold: float | None = None  # masks handed on are cut at this, as the model argument of that name says; None: the model's
    model_args: dict[str, Any] = field(default_factory=dict)  # arguments that the model has for as long as the stage runs: matching: false
    detach: bool = False  # no gradient through masks fed back
    real: float = 0.0  # share of batches that come from real clips
    sources: dict[str, float] = field(default_factory=dict)  # which real clips, name -> weight; default: all, by the sources' weights
    clips_skip: tuple[str, ...] = ()  # real clips whose name holds one of these words are not drawn, beside the recipe's
    corrupt: float = 0.0  # share of batches whose first mask is corrupted
    corrupt_fed: float = 0.0  # share of the true masks fed back (own < 1) that are corrupted
    leaks: float = 0.0  # share of the objects in corrupted masks that leak onto places far away, too
    aligned: float = 0.0  # share of the leaks, spills and missing parts in corrupted masks that follow the picture's colours
    ghosts: float = 0.0  # share of the objects out of sight whose corrupted mask shows a leak all the same
    scenes: int = 0  # so many batches of synthetic clips, which come again and again; 0: each is new
    blind: float = 0.0  # share of the true masks fed back that tell nothing, the whole frame or none of it: what is left is the memory
    remember_fed: bool = False  # true masks fed back are remembered too, with the same mistakes, not the model's own (SCM)
    lr: float = 6e-4  # of the head; the trunk's is trunk_lr times this
    lr_end: float | None = None  # None: constant over the stage; else from lr to this
    lr_course: str = "cosine"  # how: "cosine", "exponential" or "linear"
    weight_decay: float | None = None  # None: the recipe's
    fresh_optimizer: bool = False  # forget the optimiser's moments when the stage begins
    starts_from: tuple[int, ...] = ()  # begin anew at the mean of these steps' averaged weights; 0: the last before it, -1: a stage earlier
    max_skip: int | tuple[int, ...] = 3  # real clips: the largest distance between neighbouring frames; several: a course
    gaps: str = "even"  # "even": one distance a window, in real clips only; "random": each by itself, in synthetic clips too
    loss: dict[str, Any] = field(default_factory=dict)  # over the recipe's
    windows: dict[str, Any] = field(default_factory=dict)  # arguments of ViewConfig, over the recipe's
    synthesis: dict[str, Any] = field(default_factory=dict)  # arguments of SynthesisConfig, over the recipe's

    def __post_init__(self) -> None:
        where = f"stage {self.name}"
        self.size = (int(self.size[0]), int(self.size[1]))
        if any(s % GRID or s < GRID for s in self.size):
            nearest = " x ".join(str(max(1, round(s / GRID)) * GRID) for s in self.size)
            raise DataError(f"{where}: size {self.size[0]} x {self.size[1]} must be multiples of {GRID}, for instance {nearest}")
        if self.frames < 2:
            raise DataError(f"{where}: frames {self.frames} must be at least 2, the annotated one and one to predict")
        if not 0 <= self.warm < self.frames - 1:
            raise DataError(f"{where}: warm {self.warm} must leave a predicted frame of {self.frames - 1}; raise frames or lower warm")
        if self.rehearsal < 0:
            raise DataError(f"{where}: rehearsal {self.rehearsal} must be 0, none, or the largest number of frames")
        if self.rehearsal and self.own != 1:
            raise DataError(f"{where}: a rehearsal is played with the model's own masks; leave out `own`, or set it to 1")
        if self.scenes < 0:
            raise DataError(f"{where}: scenes {self.scenes} must be 0, each batch is new, or how many there are")
        for name in ("steps", "batch", "accumulate"):
            if getattr(self, name) < 1:
                raise DataError(f"{where}: {name} {getattr(self, name)} must be at least 1")
        if not _values(self.max_skip) or min(_values(self.max_skip)) < 1:
            raise DataError(f"{where}: max_skip {self.max_skip} must be at least 1")
        try:
            check_threshold(self.feedback_threshold)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error
        for name in ("real", "corrupt", "corrupt_fed", "leaks", "aligned", "ghosts", "blind", "own"):
            if not _values(getattr(self, name)) or not all(0 <= value <= 1 for value in _values(getattr(self, name))):
                raise DataError(f"{where}: {name} {getattr(self, name)} is a share, between 0 and 1")
        _one_of(where, "lr_course", self.lr_course, ("cosine", "exponential", "linear"))
        _one_of(where, "gaps", self.gaps, ("even", "random"))
        if self.lr_course == "exponential" and self.lr_end is not None and self.lr_end <= 0:
            raise DataError(f"{where}: lr_end {self.lr_end} must be above 0 for an exponential course")

    def rate(self, step: int) -> float:
        """The head's rate at a step of the stage, 0 ... steps - 1."""
        if self.lr_end is None:
            return self.lr
        done = step / self.steps
        if self.lr_course == "exponential":
            return self.lr * (self.lr_end / self.lr) ** done
        left = 0.5 * (1 + math.cos(done * math.pi)) if self.lr_course == "cosine" else 1 - done
        return self.lr_end + (self.lr - self.lr_end) * left

    def own_share(self, step: int) -> float:
        return _along(self.own, step / self.steps)

    def skip_limit(self, step: int) -> int:
        return round(_along(self.max_skip, step / self.steps))


LARGEST_SEED = 10**12  # batch n is drawn from seed * 1,000,003 + n, a number of 64 bits


@dataclass
class Source:
    """A data set of real clips."""

    layout: str  # folder, davis2016, davis2017 or youtubevos
    root: str  # under --data
    weight: float = 1.0  # against the other sources
    every: int = 1  # frames of the video from one annotated frame to the next: max_skip is divided by it


@dataclass
class Recipe:
    architecture: str
    model_args: dict[str, Any]
    stages: list[Stage]
    exported_args: dict[str, Any] = field(default_factory=dict)  # model_args that the exported model has instead: feedback_threshold
    seed: int = 0
    slots: int = 2
    shuffle_slots: bool = False  # objects in random order; else the first is the one that a synthetic clip is about
    trunk_lr: float = 0.33
    frozen: tuple[str, ...] = ()  # parameter name prefixes that are not trained
    keys_from: int = 0  # stills by which the keys of a model that matches begin as the principal directions of its trunk's features
    scaled: dict[str, float] = field(default_factory=dict)  # parameter name prefixes -> what their random start is multiplied by
    optimizer: str = "adamw"  # one of OPTIMIZERS
    weight_decay: float = 1e-4
    clip_norm: float = 2.0  # largest norm of the gradient; 0: whatever it is
    ema: float = 0.998  # of the averaged weights; 0: the last step's
    mean_with: tuple[int, ...] = ()  # steps on the way whose averaged weights the exported ones are the mean with
    warmup: int = 150
    loss: dict[str, Any] = field(default_factory=dict)  # {kind: bce_dice | nll | soft_iou | scm, and its weights}
    backbone: str | None = None  # file name of the ImageNet trunk under --backbones
    start: str | None = None  # a checkpoint of the same model to begin from: its name, folder or Hub repository; --from says another
    fresh: tuple[str, ...] = ()  # parameter name prefixes that `start` leaves as they begin without it; model_args may then differ
    trunk_of: str | None = None  # a checkpoint whose trunk to start from instead (beside `start` where trunk is fresh): name, folder or Hub
    dinov2: str | None = None  # file name of DINOv2's weights under --backbones, for a model that has it
    keep: bool = False  # what trunks that never learn show of a frame is computed once and kept in the run's folder (kept.py)
    encoder: str | None = None  # of a head that points: the shipped checkpoint whose features it reads
    stills: tuple[str, ...] = ()  # folder names under --data
    kept_out: int = 0  # one still in so many, by a hash of its name, is kept out for testing (datasets/kept_out.py); 0: none
    clips: bool = True  # use the plain folders of clips under --data: a source by the name of "clips"
    clips_index: str | None = None  # JSON beside the data: clip name -> {"split": "train" or "val"}
    clips_skip: tuple[str, ...] = ()  # clips whose name holds one of these words are left out
    sources: dict[str, Source] = field(default_factory=dict)  # data sets in published layouts, by names of your choice
    short_side: int = 360  # pixels that frames of real clips are shrunk to when they are read
    windows: dict[str, Any] = field(default_factory=dict)  # arguments of ViewConfig: how real clips are cropped and turned
    synthesis: dict[str, Any] = field(default_factory=dict)  # arguments of SynthesisConfig

    def __post_init__(self) -> None:
        if not self.stages:
            raise DataError("a recipe has at least one stage")
        if not 0 <= self.seed < LARGEST_SEED:
            raise DataError(f"seed {self.seed} must be a whole number from 0 to {LARGEST_SEED - 1}")
        if self.kept_out < 0 or self.kept_out == 1:
            raise DataError(f"kept_out {self.kept_out} must be 0, or 2 and more: one still in so many is kept out of training")
        if self.slots < 1:
            raise DataError(f"slots {self.slots} must be at least 1: the objects a clip")
        if not self.stills and not self.clips and not self.sources:
            raise DataError("the recipe has nothing to train on: name folders of stills or sources, or set clips: true")
        for name, source in self.sources.items():
            if source.weight <= 0 or source.every < 1:
                raise DataError(f"source {name}: weight {source.weight} must be above 0 and every {source.every} at least 1")
        known = [*self.sources, *(["clips"] if self.clips else [])]
        for stage in self.stages:
            strange = [name for name in stage.sources if name not in known]
            if strange:
                raise DataError(f"stage {stage.name}: unknown sources {', '.join(strange)}; the recipe has {', '.join(known) or 'none'}")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise DataError(f"the recipe's stages are named {', '.join(names)}; give each its own name")
        if self.fresh and not self.start:
            raise DataError(f"fresh: {', '.join(self.fresh)}: there is no `start` of which these take nothing; add it, or leave fresh out")
        if self.start and (self.backbone or (self.trunk_of and not self.trunk_is_fresh)):
            raise DataError(
                f"all weights begin as those of {self.start}: take `backbone` and `trunk_of` out of the recipe, or `start`; "
                "`trunk_of` may stay with `fresh: [trunk]`"
            )
        if self.backbone and self.trunk_of:
            raise DataError(
                f"the trunk starts from {self.backbone} or from {self.trunk_of}: take `backbone` or `trunk_of` out of the recipe"
            )
        if any(step < 1 for step in self.mean_with):
            raise DataError(f"mean_with {', '.join(map(str, self.mean_with))} holds no step: steps are counted from 1")
        begin = 0
        for n, stage in enumerate(self.stages):
            if any(not 1 - n <= step <= begin for step in stage.starts_from) or (stage.starts_from and not begin):
                named = ", ".join(map(str, stage.starts_from))
                raise DataError(
                    f"stage {stage.name}: starts_from {named} must be steps before it, 1 to {begin}, or ends of stages: 0 of the one "
                    "before it, -1 of the one before that"
                )
            begin += stage.steps
        _one_of("the recipe", "optimizer", self.optimizer, tuple(OPTIMIZERS))

    @property
    def steps(self) -> int:
        return sum(s.steps for s in self.stages)

    @property
    def trunk_is_fresh(self) -> bool:
        return any(prefix.rstrip(".").endswith("trunk") for prefix in self.fresh)

    @property
    def shipped_args(self) -> dict[str, Any]:
        """model_args of the exported model."""
        return {**self.model_args, **self.exported_args}

    @property
    def kept(self) -> frozenset[int]:
        """Steps whose averaged weights are wanted later on."""
        return frozenset(self.mean_with).union(*(self.starts_of(stage) for stage in self.stages))

    def starts_of(self, stage: Stage) -> tuple[int, ...]:
        """The steps that a stage's `starts_from` names: 0 is the last before it, -1 the last before the stage in front of it, and so on."""
        n = next(n for n, one in enumerate(self.stages) if one is stage)
        begins = [sum(each.steps for each in self.stages[:i]) for i in range(n + 1)]
        return tuple(step if step > 0 else begins[n + step] for step in stage.starts_from)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that `step` belongs to, and the step's number within it. IndexError past the end."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        raise IndexError("the recipe is over")

    def rate(self, step: int) -> float:
        """Rate of the head at a step of the run: the stage's, after a warm-up over the run's first steps, or a fresh start's."""
        stage, within = self.stage_at(step)
        since = within if stage.starts_from else step
        return stage.rate(within) * min(1.0, (since + 1) / max(self.warmup, 1))

    def weights_of(self, stage: Stage) -> dict[str, float]:
        """Sources of a stage's real clips and their weights."""
        if stage.sources:
            return stage.sources
        return {**({"clips": 1.0} if self.clips else {}), **{name: source.weight for name, source in self.sources.items()}}

    def loss_of(self, stage: Stage) -> Any:
        """The loss of a stage, an object of losses.LOSSES."""
        options = {"kind": "bce_dice", **self.loss, **stage.loss}
        return LOSSES[options.pop("kind")](**options)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _values(course: float | tuple[float, ...]) -> tuple[float, ...]:
    return course if isinstance(course, tuple) else (course,)


def _along(course: float | tuple[float, ...], done: float) -> float:
    """The value of a course when `done`, 0 ... 1, of it is over: straight lines through evenly spaced values."""
    values = _values(course)
    at = done * (len(values) - 1)
    left = min(int(at), max(len(values) - 2, 0))
    right = min(left + 1, len(values) - 1)
    return values[left] + (values[right] - values[left]) * (at - left)


def _one_of(where: str, name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"{where}: {name} is {value!r}, not one of {', '.join(known)}")
