"""Several Segmenters as one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from toy import squares_clip, toy_segmenter

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.errors import MaskError, SaveError, VosZooError
from vos_zoo.models.base import VOSModel
from vos_zoo.models.crvos import CRVOS
from vos_zoo.segmenter import Segmenter


def tiny(seed: int = 3, short_side: int = 48, background: str = "min") -> Segmenter:
    torch.manual_seed(seed)
    model = CRVOS(CRVOS.Config("resnet10t", 3, "folded", (12, 10, 8), (14, 9, 7), background=background))
    config = ModelConfig(name=f"tiny{seed}", architecture="CRVOS", preprocess=Preprocess(short_side), licence="MIT")
    return Segmenter(model, config, device="cpu", dtype="float32")


def agreement(a: object, b: object) -> float:
    return float((np.asarray(a) == np.asarray(b)).mean())


@pytest.mark.parametrize("size", [(48, 64), (41, 57)])
def test_twice_the_same_model_is_that_model(size):
    """Of one object, as untrained weights can leave two exactly equal far from both; two objects with the toy, which tells them apart."""
    for member, ids in ((tiny(), (1,)), (toy_segmenter(), (1, 2))):
        video, truth = squares_clip(size=size, ids=ids)
        alone = member.propagate(video, truth[0])
        twice = vos_zoo.ensemble([member, member]).propagate(video, truth[0])
        assert agreement(twice, alone) >= 0.9999
        np.testing.assert_allclose(twice.confidence, alone.confidence, atol=1e-3)
        assert len(np.unique(alone)) == 1 + len(ids)


def test_one_member_is_that_model_byte_for_byte():
    video, truth = squares_clip()
    member = tiny()
    masks = vos_zoo.ensemble([member]).propagate(video, truth[0])
    assert np.asarray(masks).tobytes() == np.asarray(member.propagate(video, truth[0])).tobytes()


def test_members_of_other_kinds_and_sizes_work_together():
    video, truth = squares_clip(size=(41, 57))
    both = vos_zoo.ensemble([tiny(short_side=32), toy_segmenter()], weights=[1, 99])
    masks = both.propagate(video, truth[0])
    assert agreement(masks, truth) > 0.99
    inner = [branch.grid.inner for branch in both.branches_for((41, 57), both.input_spec())]
    assert inner == [(32, 44), (41, 57)]
    streamed = np.stack([item.mask for item in both.stream(video, truth[0])])
    assert streamed.tobytes() == np.asarray(masks).tobytes()


def test_weights_decide():
    video, truth = squares_clip(frames=6, ids=(1,))
    one, other = tiny(1), tiny(2)
    alone = [np.asarray(each.propagate(video, truth[0]))[1:] for each in (one, other)]
    assert agreement(*alone) < 0.99
    nearly = np.asarray(vos_zoo.ensemble([one, other], weights=(1e6, 1)).propagate(video, truth[0]))[1:]
    assert agreement(nearly, alone[0]) > 0.999
    heavy = vos_zoo.ensemble([one, other], weights=[3, 1])
    assert heavy.weights == (0.75, 0.25)
    assert [branch.weight for branch in heavy.branches_for((48, 64), heavy.input_spec(tta="flip"))] == [0.375, 0.375, 0.125, 0.125]


def test_it_is_a_segmenter_in_all_it_does():
    video, truth = squares_clip(frames=5)
    both = vos_zoo.ensemble([toy_segmenter(), toy_segmenter(short_side=60)])
    assert isinstance(both, vos_zoo.Segmenter)
    session = both.start(video[0], np.where(truth[0] == 1, 1, 0))
    assert agreement(session.annotate(video[1], {2: truth[1] == 2}), truth[1]) > 0.99
    assert agreement(session.step(video[2]), truth[2]) > 0.99
    session.remove(2)
    assert session.object_ids == (1,)
    assert agreement(both.propagate(video, truth[0], tta="flip"), truth) > 0.99
    assert agreement(both.propagate(video, masks={3: truth[3]}, direction="both"), truth) > 0.99
    ((index, masks),) = both.propagate_many([video], [truth[0]])
    assert index == 0 and agreement(masks, both.propagate(video, truth[0])) == 1
    nested = vos_zoo.ensemble([both, toy_segmenter()])
    assert [branch.weight for branch in nested.branches_for((44, 60), nested.input_spec())] == [0.25, 0.25, 0.5]


def test_info_and_repr():
    both = vos_zoo.ensemble([tiny(1), tiny(2, short_side=64)])
    info = both.info()
    assert info["name"] == "tiny1+tiny2" and info["architecture"] == "Ensemble" and info["licence"] == "MIT"
    assert info["parameters"] == 2 * tiny().info()["parameters"]
    assert [(each["name"], each["short_side"], each["weight"]) for each in info["members"]] == [("tiny1", 48, 0.5), ("tiny2", 64, 0.5)]
    assert repr(both) == "<Segmenter tiny1+tiny2 (Ensemble) on cpu, float32>"


def test_all_members_are_finetuned():
    video, truth = squares_clip(frames=3)
    members = [tiny(1), tiny(2)]
    before = [[p.clone() for p in member.model.parameters()] for member in members]
    adapted = vos_zoo.ensemble(members, weights=[2, 1]).finetune(video[0], truth[0], steps=1, lr=1e-3, progress=False)
    assert [member.config.name for member in adapted.members] == ["tiny1-finetuned", "tiny2-finetuned"]
    assert adapted.weights == (2 / 3, 1 / 3)
    for member, old, new in zip(members, before, adapted.members, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(member.model.parameters(), old, strict=True))
        assert not all(torch.equal(p, q) for p, q in zip(new.model.parameters(), old, strict=True))


class Finder(VOSModel):
    Config, config, finds_objects = object, None, True


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        (lambda: [], {}, r"an ensemble needs at least one Segmenter: ensemble\(\["),
        (lambda: tiny(), {}, r"made of a list of Segmenters: ensemble\(\[first, second\]\)"),
        (lambda: ["crvos"], {}, r"are Segmenters, as vos_zoo\.load makes them, not 'crvos'"),
        (lambda: [tiny().model], {}, r"are Segmenters, as vos_zoo\.load makes them, not CRVOS"),
        (
            lambda: [tiny(), Segmenter(Finder(), ModelConfig(name="finder", architecture="Finder"), device="cpu", dtype="float32")],
            {},
            r"finder finds the objects itself.*leave it out of the ensemble",
        ),
        (lambda: [tiny(), tiny()], {"weights": [1.0]}, r"weights are 2 positive numbers, one a member, not \[1\.0\]"),
        (lambda: [tiny(), tiny()], {"weights": [1, 0]}, r"weights are 2 positive numbers"),
        (lambda: [tiny(), tiny()], {"weights": [1, float("nan")]}, r"weights are 2 positive numbers"),
    ],
)
def test_what_makes_no_ensemble(members, options, message):
    with pytest.raises(VosZooError, match=message):
        vos_zoo.ensemble(members(), **options)


def test_members_on_two_devices_are_refused():
    elsewhere = tiny()
    (member,) = elsewhere._members
    member.device = torch.device("meta")
    with pytest.raises(VosZooError, match=r"the members lie on cpu, meta: load them all with the same device="):
        vos_zoo.ensemble([tiny(), elsewhere])


def test_an_ensemble_is_not_one_checkpoint(tmp_path):
    with pytest.raises(SaveError, match="save its members one by one"):
        vos_zoo.ensemble([tiny(1), tiny(2)]).save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_it_asks_for_a_mask():
    video, _ = squares_clip(frames=2)
    both = vos_zoo.ensemble([tiny(1), tiny(2)])
    with pytest.raises(MaskError, match="no mask was given"):
        both.propagate(video)
    with pytest.raises(MaskError, match=r"no mask was given: tiny1\+tiny2 follows the objects of a mask"):
        both.start(video[0], None)


def test_an_ensemble_of_one_is_that_model_in_all():
    member = tiny()
    one = vos_zoo.ensemble([member])
    assert one.inference_model is member.inference_model and one.model is member.model
    assert one.config is member.config and one.members[0].model is member.model


def test_an_ensemble_has_its_members_models():
    first, second = tiny(1), tiny(2)
    both = vos_zoo.ensemble([first, second])
    assert list(both.model) == [first.model, second.model]
    assert list(both.inference_model) == [first.inference_model, second.inference_model]
    assert [each.model for each in both.members] == [first.model, second.model]
    assert all(len(each.members) == 1 for each in both.members)


def test_a_member_of_an_ensemble_can_be_saved(tmp_path):
    for n, member in enumerate(vos_zoo.ensemble([tiny(1), tiny(2)]).members):
        member.save_pretrained(tmp_path / str(n))
    assert [json.loads((tmp_path / str(n) / "config.json").read_text())["name"] for n in range(2)] == ["tiny1", "tiny2"]


def test_redetection_takes_an_ensemble_of_one_and_refuses_one_of_several():
    model, config = tiny().model, tiny().config
    one = Segmenter(model, config, device="cpu", dtype="float32", redetection=vos_zoo.ensemble([tiny(1)]))
    assert one.describer.config.name == "tiny1"
    with pytest.raises(VosZooError, match=r"features of one model, and tiny1\+tiny2 is an ensemble: pass one of its members"):
        Segmenter(model, config, device="cpu", dtype="float32", redetection=vos_zoo.ensemble([tiny(1), tiny(2)]))
    with pytest.raises(VosZooError, match="redetection is True, False or a Segmenter.*not 'crvos'"):
        Segmenter(model, config, device="cpu", dtype="float32", redetection="crvos")


def test_a_config_set_later_counts():
    segmenter = tiny()
    segmenter.config = segmenter.config.replace(preprocess=Preprocess(32))
    assert segmenter.grid_for((64, 64)).inner == (32, 32) and segmenter.info()["short_side"] == 32
