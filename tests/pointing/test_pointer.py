"""A picture that is pointed at: what comes of clicks, boxes and strokes, and how often it is encoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pointing_toy import SMALL, ByColour, iou, scene, toy_pointer
from toy import toy_segmenter

import vos_zoo
from vos_zoo.errors import MaskError, PromptError, VosZooError
from vos_zoo.pointing.marks import add_box, add_disk, blank
from vos_zoo.pointing.network import PointingConfig, PointingNetwork, nearness
from vos_zoo.pointing.pointer import Pointer, merged
from vos_zoo.pointing.prompts import Point
from vos_zoo.pointing.video import mask_of


def test_one_click_one_object():
    picture, red, _ = scene()
    mask = vos_zoo.point(picture, points=[(40, 40)], model=toy_pointer())
    assert mask.dtype == np.uint8 and mask.shape == picture.shape[:2]
    assert iou(mask == 1, red) > 0.85


def test_several_objects_by_point_box_and_stroke():
    picture, red, green = scene()
    mask = toy_pointer().look(picture).mask(boxes={3: (20, 20, 60, 60)}, scribbles={9: [[(100, 40), (130, 70)]]})
    assert set(np.unique(mask)) == {0, 3, 9}
    assert iou(mask == 3, red) > 0.85 and iou(mask == 9, green) > 0.85


def test_a_negative_click_takes_away():
    picture, red, green = scene()
    pointer = toy_pointer().look(picture)
    both = red | green
    mask = pointer.mask(points=[(40, 40), (120, 60, 0)], mask=both)
    assert iou(mask == 1, red) > 0.8 and not (mask[green] == 1).mean() > 0.2


def test_a_correction_leaves_other_objects_alone():
    picture, red, green = scene()
    before = np.where(red, 1, 0) + np.where(green, 4, 0)
    before[50:60, 16:64] = 0
    mask = toy_pointer().look(picture).mask(points={1: [(40, 40)]}, mask=before)
    assert iou(mask == 1, red) > 0.85 and ((mask == 4) == green).all()


def test_the_picture_is_encoded_once_and_answers_are_kept():
    picture, *_ = scene()
    model = toy_pointer(PointingNetwork)
    pointer = model.look(picture)
    pointer.mask(points=[(40, 40)])
    once = model.encoder.asked
    first = pointer.mask(points=[(40, 40), (50, 50)])
    assert model.encoder.asked <= once + 1  # the second look may have to widen
    again = model.encoder.asked
    assert (pointer.mask(points=[(40, 40), (50, 50)]) == first).all()
    assert model.encoder.asked == again


def test_a_second_click_takes_only_the_heads():
    picture, *_ = scene()
    model = toy_pointer()
    pointer = model.look(picture)
    pointer.mask(points=[(40, 40)])
    assert model.encoder.asked == 2, "the whole picture, and the object larger: the fitting reads the same look"
    pointer.mask(points=[(40, 40), (50, 50), (75, 40, 0)])
    assert model.encoder.asked == 2
    pointer.mask(points=[(40, 40), (140, 60)])
    assert model.encoder.asked == 3, "a click outside of what was looked at"


def test_points_together_are_as_points_one_by_one():
    picture, *_ = scene()
    model = toy_pointer(PointingNetwork)
    points = [(40, 40), (120, 60, 0), (20, 20)]
    slow = model.look(picture)
    for n in range(1, 4):
        mask = slow.mask(points=points[:n])
    assert (model.look(picture).mask(points=points) == mask).all()


def test_something_is_always_found_where_a_click_says_it_is():
    picture, *_ = scene()

    class Unsure(ByColour):
        def forward(self, image, marks):
            logits, coarse = super().forward(image, marks)
            return logits - 20, coarse

    assert (toy_pointer(Unsure).look(picture).mask(points=[(40, 40)]) == 1).any()


def test_what_is_wrong_is_told_before_the_picture_is_encoded():
    picture, *_ = scene()
    model = toy_pointer()
    pointer = model.look(picture)
    with pytest.raises(PromptError, match="outside the picture, which is 160x96"):
        pointer.mask(points=[(160, 20)])
    with pytest.raises(PromptError, match="add one on the object"):
        pointer.mask(points=[(10, 20, 0)])
    with pytest.raises(MaskError, match="160x96"):
        pointer.mask(points=[(10, 20)], mask=np.ones((5, 5), bool))
    assert model.encoder.asked == 0


def test_any_size_of_picture():
    for height, width in ((1, 1), (9, 200), (300, 7)):
        mask = toy_pointer(PointingNetwork).look(np.zeros((height, width, 3), np.uint8)).mask(points=[(0, 0)])
        assert mask.shape == (height, width)


def test_marks_on_the_grid():
    marks = blank(1, 16, 16, like=torch.zeros(()))
    add_disk(marks[0], 8, 8, True, 2.0)
    add_disk(marks[0], -5, 8, False, 2.0)
    assert marks[0, 0].sum() == 13 and marks[0, 1].sum() == 0
    add_box(marks[0], (2.5, 0, 4, 2))
    assert marks[0, 2].sum() == 3 and marks[0, 2, 0, 2] == 0.5


def test_nearness_falls_with_distance():
    marks = torch.zeros(1, 1, 5, 5)
    marks[0, 0, 2, 2] = 1
    near = nearness(marks, 2.0)
    assert near[0, 0, 2, 2] == 1 and torch.isclose(near[0, 0, 2, 4], torch.tensor(-1.0).exp())
    assert nearness(torch.zeros(1, 1, 5, 5), 2.0).sum() == 0


@pytest.mark.parametrize("wrong", [{"widths": (8, 8)}, {"widths": (9, 8, 8)}, {"relations": 99}, {"features": (1, 8, 8, 8)}])
def test_arguments_that_make_no_network(wrong):
    with pytest.raises(ValueError):
        PointingConfig(**wrong)


def test_a_propagation_model_points_at_nothing():
    with pytest.raises(VosZooError, match="makes none of clicks"):
        vos_zoo.load_pointer("crvos-resnet18")


def test_network_gives_maps_at_half_the_resolution():
    network = PointingNetwork(SMALL).eval()
    picture, *_ = scene()
    pointer = Pointer(picture, network, toy_pointer().encoder)
    probs = pointer.probabilities(vos_zoo.Prompts(points=[(3, 3)]).read(pointer.size)[1])
    assert probs.shape == picture.shape[:2] and 0 <= probs.min() <= probs.max() <= 1


def test_a_further_click_changes_only_what_hangs_together_with_it():
    before, after = torch.zeros(60, 80), torch.zeros(60, 80)
    before[10:30, 10:30] = 1  # right, and lost by the answer
    after[40:55, 50:70] = 1  # what was clicked on
    found = merged(before, after, Point(60, 47))
    assert found[10:30, 10:30].min() == 1 and found[40:55, 50:70].min() == 1
    assert not (merged(before, after, Point(20, 20, False)) > 0.5).any(), "what was clicked on as wrong goes, and nothing comes"
    assert torch.equal(merged(before, torch.zeros(60, 80), Point(20, 20)), before), "a click on the object takes nothing away"


def test_what_looks_like_the_surroundings_of_a_box_is_not_the_object():
    picture, red, _ = scene()

    class AllOfIt(ByColour):
        def forward(self, image, marks):
            return (20 * F.avg_pool2d(marks[:, 2:3], 2) - 10)[:, 0], ()

    box = (10, 10, 90, 90)  # the red square fills a third of it
    mask = toy_pointer(AllOfIt).look(picture).mask(boxes=box)
    assert iou(mask == 1, red) > 0.9
    all_grey = toy_pointer(AllOfIt).look(np.full_like(picture, 90))
    assert (all_grey.mask(boxes=(0, 0, 160, 96)) == 1).mean() > 0.5, "nothing lies outside, so nothing is taken away"


def test_a_loose_mask_is_fitted_to_the_objects_in_it():
    picture, red, green = scene()
    loose = np.zeros(picture.shape[:2], np.uint8)
    loose[8:72, 8:72], loose[26:90, 90:150] = 1, 5
    assert iou(loose == 1, red) < 0.6
    pointing = toy_pointer()
    found = pointing.look(picture).snapped(loose)
    assert found.ids == (1, 5) and iou(found.labels == 1, red) > 0.95 and iou(found.labels == 5, green) > 0.95
    same = vos_zoo.Prompts(mask=loose, snap=True, pointer=pointing)
    assert (mask_of(picture, same).labels == found.labels).all()
    taken = mask_of(picture, vos_zoo.Prompts(points={5: [(110, 60)]}, mask=loose, snap=True, pointer=pointing))
    assert iou(taken.labels == 1, red) > 0.95 and iou(taken.labels == 5, green) > 0.9
    session = toy_segmenter().start(picture, loose, snap=True, pointer=pointing)
    assert iou(session.current() == 1, red) > 0.95


def test_snapping_wants_a_mask():
    picture, *_ = scene()
    with pytest.raises(PromptError, match="there is none: give a first mask"):
        toy_segmenter().propagate([picture], points=[(40, 40)], snap=True, pointer=toy_pointer())
    with pytest.raises(MaskError, match="size|40"):
        toy_pointer().look(picture).snapped(np.ones((40, 40), np.uint8))


def test_the_answer_to_a_first_click_may_grow_when_it_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first step it is wider, half sure there; in the second as it was found."""
    picture, red, _ = scene()
    pointer = toy_pointer().look(picture)
    shown: list[torch.Tensor] = []
    start = pointer.encoder.start
    monkeypatch.setattr(pointer.encoder, "start", lambda features, masks: shown.append(masks[0, 0]) or start(features, masks))
    found = pointer.mask(points=[(40, 40)]) == 1
    assert (found & red).sum() / (found | red).sum() > 0.9
    first, second = shown
    half = ((first > 0.45) & (first < 0.55)).sum()
    assert half >= 4 * int((second > 0.5).sum()) ** 0.5 and ((second > 0.45) & (second < 0.55)).sum() < half / 2
