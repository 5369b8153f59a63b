"""STM_weights.pth, in its authors' format with random values: the converted folder computes what their network computes."""

from __future__ import annotations

import json
import shutil

import published
import pytest
import torch

import vos_zoo
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.convert import stm
from vos_zoo.errors import CheckpointError


@pytest.fixture(scope="module")
def tensors():
    return published.stm()


@pytest.fixture(scope="module")
def folder(tensors, tmp_path_factory):
    place = tmp_path_factory.mktemp("stm")
    yield stm.convert(published.save(published.parallel(tensors), place / "STM_weights.pth"), place / "folder")
    shutil.rmtree(place)  # pytest keeps what tests write, and this is large


def test_the_synthetic_file_is_as_large_as_the_published_one(tensors):
    assert len(tensors) == 558
    statistics = ("running_mean", "running_var", "num_batches_tracked", ".mean", ".std")
    assert round(sum(x.numel() for key, x in tensors.items() if not key.endswith(statistics)) / 1e6, 2) == 38.93


@pytest.mark.parametrize("every", [5, 2])
def test_the_authors_function_is_computed(tensors, folder, every):
    """Frame t reads the frame before it and every n-th one; frame 1 is forgotten at frame 3 where every fifth is kept."""
    segmenter = vos_zoo.load(folder, device="cpu", dtype="float32", memory_every=every)
    model, theirs = segmenter.model, published.double(tensors)
    torch.manual_seed(1)
    frames = torch.rand(4, 3, 48, 64)
    masks = torch.zeros(1, 2, 48, 64)
    masks[0, 0, 8:30, 10:40], masks[0, 1, 20:44, 30:60] = 1, 1
    with torch.no_grad():
        state = model.start(model.encode(frames[:1]), masks)
        kept = [published.stm_memorise(theirs, frames[:1].double(), masks[0].double())]
        previous = kept[0]
        for t in (1, 2, 3):
            probs, state = model.step(model.encode(frames[t : t + 1]), state)
            memory = kept if previous is kept[-1] else [*kept, previous]
            expected = published.stm_segment(theirs, frames[t : t + 1].double(), memory)
            assert expected[1].std() > 0.03 and expected[2].std() > 0.03
            torch.testing.assert_close(probs[0].double(), expected, atol=1e-4, rtol=0)
            previous = published.stm_memorise(theirs, frames[t : t + 1].double(), expected[1:])
            if t % every == 0:
                kept.append(previous)


def test_the_folder_says_what_it_is(folder):
    config = json.loads((folder / "config.json").read_text())
    assert (config["name"], config["architecture"]) == ("stm-resnet50-official", "SCM")
    assert not any(config["model_args"][name] for name in ("aspp", "spatial_constraint", "refine"))
    assert config["licence"] == "CC-BY-NC-SA-4.0" and round(config["parameters"] / 1e6, 2) == 38.93
    assert config["training"]["converted_from"][0]["sha256"] == sha256_of(folder.parent / "STM_weights.pth")
    assert config["licence"] in (folder / "README.md").read_text()


def test_a_file_that_does_not_fit_leaves_nothing(tensors, tmp_path):
    """Some re-implementations feed the background instead of the other objects, or other widths."""
    wrong = published.parallel({key.replace("conv1_o", "conv1_bg"): x for key, x in tensors.items()})
    wrong["module.Decoder.pred2.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as raised:
        stm.convert(published.save(wrong, tmp_path / "STM_weights.pth"), tmp_path / "folder")
    message = str(raised.value)
    assert "missing from the file (1):\n    Encoder_M.conv1_o.weight" in message

    assert "unexpected in the file (1):\n    Encoder_M.conv1_bg.weight" in message
    assert "Decoder.pred2.bias: [3] in the file, [2] in the model" in message
    assert [each.name for each in tmp_path.iterdir()] == ["STM_weights.pth"]
