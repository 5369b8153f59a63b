"""RVOS's encoder.pt and decoder.pt, in their authors' format with random values: the converted folder computes what their network does."""

from __future__ import annotations

import json
import shutil

import published
import pytest
import torch

import vos_zoo
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.convert import rvos
from vos_zoo.errors import CheckpointError

CASES = {  # trunk, zero-shot, hidden size, frame size
    "resnet34": ("resnet34", False, 32, (67, 101)),
    "resnet34-zeroshot": ("resnet34", True, 32, (64, 96)),
    "resnet50-zeroshot": ("resnet50", True, 16, (50, 75)),
    "resnet101": ("resnet101", False, 128, (64, 64)),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request, tmp_path_factory):
    kind, zero_shot, hidden, size = request.param
    place = tmp_path_factory.mktemp("rvos")
    encoder, decoder = published.rvos(kind, zero_shot=zero_shot, hidden=hidden)
    counted = published.without(encoder, "num_batches_tracked") if zero_shot else encoder  # torch before 0.4.1
    files = [
        published.save(published.parallel(counted), place / "encoder.pt"),
        published.save(published.parallel(decoder, lambda key: zero_shot and "Gates" in key), place / "decoder.pt"),
    ]
    (place / "args.pkl").write_bytes(b"not to be opened")
    folder = rvos.convert(*files, place / "folder")
    yield request.param, folder, encoder, decoder
    shutil.rmtree(place)  # pytest keeps what tests write, and this is large


def test_the_authors_function_is_computed(case):
    (_, zero_shot, _, size), folder, encoder, decoder = case
    theirs = published.double(encoder, decoder)
    segmenter = vos_zoo.load(folder, device="cpu", dtype="float32", slots=3)
    model = segmenter.model
    torch.manual_seed(1)
    frames, masks = torch.rand(3, 3, *size), (torch.rand(1, 3, *size) > 0.6).float()
    previous, hidden = (None if zero_shot else masks[0].double()), None
    with torch.no_grad():
        state = model.start(model.encode(frames[:1]), None if zero_shot else masks)
        if not zero_shot:  # frame 0 is run for its hidden maps; frame 1 is told the given masks too
            _, hidden = published.rvos_step(theirs, frames[:1].double(), previous, None, 3)
        for frame in frames if zero_shot else frames[1:]:
            probs, state = model.step(model.encode(frame[None]), state)
            expected, hidden = published.rvos_step(theirs, frame[None].double(), previous, hidden, 3)
            assert expected.std() > 0.05 and (expected[0] - expected[1]).abs().max() > 0.02
            torch.testing.assert_close(state.masks[0].double(), expected, atol=1e-4, rtol=0)
            wins = torch.cat([(1 - expected.amax(0))[None], expected])  # the likeliest object, where it is likelier than not
            torch.testing.assert_close(probs[0].double(), wins / wins.sum(0), atol=1e-4, rtol=0)
            previous = None if zero_shot else expected


def test_the_folder_says_what_it_is(case):
    (kind, zero_shot, hidden, _), folder, encoder, decoder = case
    config = json.loads((folder / "config.json").read_text())
    assert config["name"] == f"rvos-{kind}{'-zeroshot' if zero_shot else ''}-official"
    args = config["model_args"]
    assert (args["backbone"], args["hidden"], args["zero_shot"], args["recurrence"]) == (kind, hidden, zero_shot, "spatio-temporal")
    assert config["preprocess"] == {"size": [256, 448]} and config["licence"].startswith("Non-commercial use only")
    assert [each["sha256"] for each in config["training"]["converted_from"]] == [
        sha256_of(folder.parent / name) for name in ("encoder.pt", "decoder.pt")
    ]
    card = (folder / "README.md").read_text()
    assert config["licence"] in card and all(each["sha256"] in card for each in config["training"]["converted_from"])
    if kind == "resnet101":  # models as published, without the classifier: 48.46 M less 2.05 M, and 2.940 M
        left_out = ("running_mean", "running_var", "num_batches_tracked", "fc.weight", "fc.bias")
        assert round(sum(x.numel() for key, x in encoder.items() if not key.endswith(left_out)) / 1e6, 2) == 46.41
        assert round(sum(x.numel() for key, x in decoder.items() if not key.startswith("fc_stop")) / 1e6, 3) == 2.940
        assert round(config["parameters"] / 1e6, 2) == 49.35


def test_a_decoder_that_does_not_fit_leaves_nothing(tmp_path):
    encoder, decoder = published.rvos("resnet34", hidden=16)
    decoder["clstm_list.2.Gates.weight"] = torch.zeros(16, 24, 3, 3)  # a level without the mask
    decoder["clstm_list.4.Gates.bias"] = torch.zeros(4)
    files = (
        published.save(encoder, tmp_path / "encoder.pt"),
        published.save(published.without(decoder, "conv_out.bias"), tmp_path / "decoder.pt"),
    )
    with pytest.raises(CheckpointError) as raised:
        rvos.convert(*files, tmp_path / "folder")
    message = str(raised.value)
    assert "missing from the file (1):\n    conv_out.bias" in message
    assert "unexpected in the file (1):\n    clstm_list.4.Gates.bias" in message
    assert "clstm_list.2.Gates.weight: [16, 24, 3, 3] in the file, [16, 25, 3, 3] in the model" in message
    assert sorted(each.name for each in tmp_path.iterdir()) == ["decoder.pt", "encoder.pt"]
