"""What a model card says of an architecture beyond its checkpoint: the figures its authors published, and what it is known to fail at."""

from __future__ import annotations

from vos_zoo.checkpoints.config import ModelConfig

# By the beginning of the paper's title: (where, what); J&F in percent, never mixed with what was measured here.
_PUBLISHED: dict[str, tuple[tuple[str, str], ...]] = {
    "CRVOS": (
        ("DAVIS-2016 val, 20 sequences", "81.6 (J 82.2, F 81.0), ResNet-50, trained on YouTube-VOS and DAVIS (Table 1)"),
        ("DAVIS-2017 val", "54.3 (J 53.5, F 55.2), the same (Table 2, section 3)"),
    ),
    "RVOS": (
        ("YouTube-VOS, one-shot", "J 63.6 seen, 45.5 unseen; F 67.2 seen, 51.0 unseen; ResNet-101, two training stages"),
        ("DAVIS-2017 val, one-shot", "J 57.5, F 63.6, as the ACCLVOS paper quotes it (Table I)"),
        ("YouTube-VOS, zero-shot", "J 44.7 seen, 21.2 unseen; F 45.0 seen, 23.9 unseen"),
    ),
    "ACCLVOS": (("DAVIS-2017 val", "J 59.6, F 65.0, trained on YouTube-VOS, then on DAVIS-2017 (Tables I and IV)"),),
    "Spatial Consistent Memory": (
        ("DAVIS 2020 challenge, test-challenge", "84.1 (J 81.5, F 86.7), an ensemble with online fine-tuning, flips and scales (Table 1)"),
        ("DAVIS-2017 test-dev", "83.2 by the same; 79.7 for one ResNeSt-101 model in one pass (Table 2)"),
    ),
    "Video Object Segmentation using Space-Time": (("DAVIS-2017 val", "81.8, ResNet-50, trained on still images, YouTube-VOS and DAVIS"),),
}

_LIMITS: dict[str, str] = {
    "CRVOS": "The model's only memory is the previous frame's coarse mask. Objects that move fast against their size, or that leave and "
    "come back, can be lost, and by itself it finds them again only by chance; masks may leak onto look-alikes that touch the object. Thin "
    "parts (lines, wheel spokes) get blurred.",
    "RVOS": "What it remembers is four small maps an object, which every frame overwrites: masks drift over long videos, and what was away "
    "it finds again by itself only by chance. Frames are seen small, so small objects and thin parts are lost first. Objects are decoded "
    "one after another, so a wrong one can disturb those behind it.",
    "SCM": "Objects are matched with remembered frames, so what looks the same can be taken for the object, and a changed look can be "
    "missed; the spatial constraint, where it is on, favours places near the last mask, so fast motion and reappearance elsewhere suffer. "
    "Time and memory grow with the number of remembered frames, up to the limit in the config.",
}
_LIMITS["ACCLVOS"] = _LIMITS["RVOS"]

_ZERO_SHOT = (
    " It takes no mask: it finds what stands out, in a fixed number of slots, misses objects and follows things nobody asked for; the "
    "figures of zero-shot models are far below those of models that are given a mask."
)

_REDETECTION = (
    " So that what is lost can be found again, and a mask that lies on something else is taken away, every fourth frame is compared with "
    "the annotated ones by the features of `{0}` (none of the papers has that; `load(..., redetection=False)` leaves it out). What can't "
    "be told from others is not found so, and what has changed beyond recognition can be taken for something else."
)

BIAS = (
    "Which objects are followed well depends on the training data, and those are mostly photographs and short clips from the Web: "
    "people, pets, vehicles and sports by daylight. Other objects and pictures (medical, thermal, aerial, night, drawings, crowds) are "
    "likelier to be lost. Whether people of different looks are followed equally well has not been measured."
)


def published(config: ModelConfig) -> tuple[tuple[str, str], ...]:
    """What the paper's authors report of their own weights, as (where, what)."""
    title = str(config.paper.get("title", ""))
    return next((facts for start, facts in _PUBLISHED.items() if title.startswith(start)), ())


def limits(config: ModelConfig) -> str:
    zero_shot = _ZERO_SHOT if config.model_args.get("zero_shot") else ""
    redetection = _REDETECTION.format(config.redetection) if config.redetection else ""
    return _LIMITS.get(config.architecture, "Not described yet.") + redetection + zero_shot
