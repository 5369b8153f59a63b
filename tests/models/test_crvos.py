"""CRVOS against a plain reference in float64, written from the paper's section 2 and the published widths."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vos_zoo.models.crvos import CRVOS
from vos_zoo.models.parts.backbones import Trunk
from vos_zoo.models.parts.ops import aggregate, coordinates

Config = CRVOS.Config
TINY = Config("resnet18", 3, "frozen", (12, 10, 8), (14, 9, 7))
FOLDED = Config("resnet18", 3, "folded", (12, 10, 8), (14, 9, 7))
ROWS = {  # of the paper's Table 3
    "I": dataclasses.replace(TINY, specifier="none"),
    "II": dataclasses.replace(TINY, specifier="mask"),
    "III": TINY,
    "IV": dataclasses.replace(TINY, refine="bilinear"),
    "bilinear, none": dataclasses.replace(TINY, specifier="none", refine="bilinear"),
}


def build(config: Config, seed: int = 0) -> CRVOS:
    torch.manual_seed(seed)
    model = CRVOS(config).double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


# ---- the reference


def reference_step(model: CRVOS, frame: torch.Tensor, coarse: list[torch.Tensor]) -> torch.Tensor:
    """frame (3, H, W); coarse: a (H/16, W/16) mask an object. -> (1 + K, H, W), one object after another, nothing shared."""
    mean = torch.tensor([0.485, 0.456, 0.406]).double().view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).double().view(3, 1, 1)
    s4, s8, s16 = model.trunk(((frame - mean) / std)[None])
    h, w = s16.shape[-2:]
    fg, bg = [], []
    for mask in coarse:
        clue = torch.zeros(1, 5, h, w).double()
        clue[0, 0], clue[0, 1] = 1 - mask, mask
        for i in range(h):
            for j in range(w):
                y, x = 2 * i / (h - 1) - 1, 2 * j / (w - 1) - 1
                clue[0, 2, i, j], clue[0, 3, i, j], clue[0, 4, i, j] = y, x, (x * x + y * y) ** 0.5
        maps = []
        guide = clue[:, : {"clue": 5, "mask": 2, "none": 0}[model.config.specifier]]
        for refine, skip in ((model.refine16, s16), (model.refine8, s8), (model.refine4, s4)):
            x = F.relu(F.conv2d(skip, refine.reduce.weight, refine.reduce.bias))
            x = F.relu(F.conv2d(torch.cat([x, guide], 1), refine.blend.weight, refine.blend.bias, padding=1))
            stride = 1 if refine is model.refine4 else 2
            if model.config.refine == "bilinear":
                guide = twice_as_large(x) if stride == 2 else x
                continue
            guide = F.conv_transpose2d(x, refine.deconv.weight, refine.deconv.bias, stride=stride, padding=1)
            maps.append(guide)
        if model.config.refine == "bilinear":
            small = F.conv2d(guide, model.predictor.weight, model.predictor.bias, padding=1)
            score = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)[0]
        else:
            lifted = F.conv_transpose2d(maps[0], model.lift.weight, model.lift.bias, stride=2, padding=1)
            fused = torch.cat([lifted, maps[1], maps[2]], 1)
            score = F.conv_transpose2d(fused, model.predictor.weight, model.predictor.bias, stride=4, padding=1)[0]
        background, foreground = score.softmax(0)
        bg.append(background.clamp(1e-7, 1 - 1e-7))
        fg.append(foreground.clamp(1e-7, 1 - 1e-7))
    return reference_aggregation(bg, fg)


def twice_as_large(x: torch.Tensor) -> torch.Tensor:
    """Bilinear with pixel centres at halves: each new pixel is 3/4 of the nearer and 1/4 of the farther old one, in both directions."""
    for dim in (2, 3):
        before = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, x.shape[dim] - 1)], dim)
        after = torch.cat([x.narrow(dim, 1, x.shape[dim] - 1), x.narrow(dim, x.shape[dim] - 1, 1)], dim)
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], dim + 1).flatten(dim, dim + 1)
    return x


def reference_aggregation(bg: list[torch.Tensor], fg: list[torch.Tensor], product: bool = False) -> torch.Tensor:
    b0 = torch.stack(bg).prod(0) if product else torch.stack(bg).amin(0)
    b0 = b0.clamp(1e-7, 1 - 1e-7)
    odds = [b0 / (1 - b0)] + [f / b for f, b in zip(fg, bg, strict=True)]
    return torch.stack(odds) / torch.stack(odds).sum(0)


# ---- the model


@pytest.mark.parametrize("config", [*ROWS.values(), FOLDED], ids=[*ROWS, "folded"])
@pytest.mark.parametrize("objects", [1, 3])
def test_two_steps_equal_the_reference(config, objects):
    model = build(config)
    frames = torch.rand(2, 3, 48, 80).double()
    masks = (torch.rand(1, objects, 48, 80) > 0.5).double()
    coarse = [F.avg_pool2d(m[None, None], 16)[0, 0] for m in masks[0]]
    with torch.no_grad():
        state = model.start(None, masks)
        for frame in frames:
            probs, state = model.step(model.encode(frame[None]), state)
            expected = reference_step(model, frame, coarse)
            torch.testing.assert_close(probs[0].double(), expected, atol=2e-6, rtol=1e-5)
            coarse = [F.avg_pool2d(p[None, None], 16)[0, 0] for p in expected[1:]]
    assert state.masks.shape == (1, objects, 3, 5)


def test_sizes_of_the_papers_model():
    model = CRVOS()
    count = sum(p.numel() for p in model.parameters())
    head = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("trunk"))
    fourth = sum(p.numel() for n, p in model.named_parameters() if n.startswith("trunk.net.layer4"))
    assert round((count + 2048 * 1000 + 1000) / 1e6, 2) == 26.79  # the published file holds an unused classifier
    assert round(head / 1e6, 3) == 1.235
    assert round((head + fourth) / 1e6, 1) == 16.2
    assert [tuple(c.weight.shape) for c in (model.refine16.blend, model.refine8.blend, model.refine4.blend)] == [
        (128, 261, 3, 3),
        (128, 130, 3, 3),
        (128, 130, 3, 3),
    ]


def test_the_rows_of_table_3_differ_where_they_should():
    default = {name: tuple(p.shape) for name, p in build(TINY).named_parameters()}
    shapes = {row: {name: tuple(p.shape) for name, p in build(config).named_parameters()} for row, config in ROWS.items()}
    changed = {row: {name for name in default if found.get(name) != default[name]} for row, found in shapes.items()}
    assert changed["III"] == set() and changed["I"] == changed["II"] == {"refine16.blend.weight"}
    assert [shapes[row]["refine16.blend.weight"][1] for row in ("I", "II", "III", "IV")] == [12, 12 + 2, 12 + 5, 12 + 5]
    gone = {name for name in default if name not in shapes["IV"]}
    assert {name.rpartition(".")[0] for name in gone} == {"refine16.deconv", "refine8.deconv", "refine4.deconv", "lift"}
    assert shapes["IV"]["refine8.blend.weight"][1] == 10 + 14  # the features of the module below, not two channels


def test_without_a_specifier_the_state_does_not_matter():
    model = build(ROWS["I"])
    features = model.encode(torch.rand(1, 3, 32, 48).double())
    zeros, ones = (model.predict(features, model.start(None, torch.full((1, 2, 32, 48), value))).logits for value in (0.0, 1.0))
    assert torch.equal(zeros, ones) and torch.equal(zeros[:, 0], zeros[:, 1])


@pytest.mark.parametrize("row", ["II", "IV"])
def test_with_a_specifier_the_state_matters(row):
    model = build(ROWS[row])
    features = model.encode(torch.rand(1, 3, 32, 48).double())
    zeros, ones = (model.predict(features, model.start(None, torch.full((1, 1, 32, 48), value))).logits for value in (0.0, 1.0))
    assert (zeros - ones).abs().max() > 1e-3


@pytest.mark.parametrize("row", ROWS)
def test_every_row_learns(row):
    model = build(ROWS[row]).train()
    prediction = model.predict(model.encode(torch.rand(1, 3, 32, 32).double()), model.start(None, torch.rand(1, 1, 32, 32)))
    (prediction.logits.square().mean() + sum(a.square().mean() for a in prediction.auxiliary)).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


# ---- matching


MATCHED = dataclasses.replace(TINY, matched=6, lasting=3)


def unit_cells(model: CRVOS, deep: torch.Tensor) -> list[torch.Tensor]:
    """The key of every cell of (1, C, h, w), row by row."""
    project = model.keys.project.weight[:, :, 0, 0]
    cells = deep[0].flatten(1).T
    return [(project @ (cell - cells.mean(0))) / (project @ (cell - cells.mean(0))).norm() for cell in cells]


def matched_by_hand(asked: list[torch.Tensor], past: list[tuple[torch.Tensor, float]], width: int = 0) -> list[float]:
    """Of every cell: the softmax of cosine / 0.02 over remembered cells, times their shares; width: of a frame, if near ones count more."""
    found = []
    for n, cell in enumerate(asked):
        scores = []
        for m, (key, _) in enumerate(past):
            far = (n // width - m // width) ** 2 + (n % width - m % width) ** 2 if width else 0
            scores.append((cell * key).sum() / 0.02 - far / 32)
        weights = torch.stack(scores).softmax(0)
        found.append(float(sum(w * share for w, (_, share) in zip(weights, past, strict=True))))
    return found


@torch.no_grad()
def test_the_clue_is_the_mean_of_what_matching_finds_in_the_previous_and_in_lasting_frames():
    model = build(MATCHED)
    frames, masks = torch.rand(9, 1, 3, 48, 80).double(), (torch.rand(1, 1, 48, 80) > 0.5).double()
    seen = [model.encode(frame) for frame in frames]
    state = model.start(seen[0], masks)
    cells = [unit_cells(model, each.trunk) for each in seen]
    coarse = [state.masks.flatten().tolist()]
    for n in range(1, 9):
        lasting = [0] + [t for t in range(5, n, 5)]
        by_previous = matched_by_hand(cells[n], list(zip(cells[n - 1], coarse[n - 1], strict=True)), width=5)
        by_lasting = matched_by_hand(cells[n], [pair for t in lasting for pair in zip(cells[t], coarse[t], strict=True)])
        expected = [sum(both) / 2 for both in zip(by_previous, by_lasting, strict=True)]
        clue = model.guide(seen[n], state, seen[n].s16)
        torch.testing.assert_close(clue[0, 1].flatten(), torch.tensor(expected).double(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(clue[:, 0], 1 - clue[:, 1])
        _, state = model.step(seen[n], state)
        coarse.append(state.masks.flatten().tolist())


@torch.no_grad()
def test_a_thing_that_jumps_is_found_where_it_lies_now():
    """Left half and right half change places: the previous mask is wrong everywhere, what matching finds is right."""
    model = build(MATCHED)
    left, right = torch.rand(1, 3, 32, 1).expand(-1, -1, -1, 64).double() * 0.1, torch.rand(1, 3, 32, 1).expand(-1, -1, -1, 64).double()
    masks = torch.zeros(1, 1, 32, 128).double()
    masks[..., :64] = 1
    state = model.start(model.encode(torch.cat([left, right], 3)), masks)
    swapped = model.encode(torch.cat([right, left], 3))
    clue = model.guide(swapped, state, swapped.s16)[0, 1]
    assert clue[:, 5:].min() > 0.7 and clue[:, :3].max() < 0.3


@torch.no_grad()
def test_what_lasts_is_the_first_frame_and_the_latest_of_each_fifth():
    model = build(MATCHED)
    frames, masks = torch.rand(23, 1, 3, 32, 48).double(), (torch.rand(1, 2, 32, 48) > 0.5).double()
    seen = [model.encode(frame) for frame in frames]
    state = model.start(seen[0], masks)
    for n in range(1, 23):
        _, state = model.step(seen[n], state)
    assert state.valid.all() and state.age.tolist() == [[22, 22]]
    for slot, frame in enumerate([0, 15, 20]):
        for k in range(2):
            torch.testing.assert_close(state.keys[0, k, slot].T.unflatten(1, (2, 3)), seen[frame].key[0])
    new = torch.ones(1, 3, 32, 48).double()
    after = model.annotate(seen[22], new, torch.tensor([[False, True, True]]), state)
    assert after.age.tolist() == [[22, 22, 0]] and after.valid[0, 2].tolist() == [True, False, False]
    torch.testing.assert_close(after.keys[0, 2, 0].T.unflatten(1, (2, 3)), seen[22].key[0])  # a new object's first frame
    torch.testing.assert_close(after.keys[0, :2], state.keys[0])  # a correction is no frame that lasts
    assert after.masks[0, 1].min() == 1
    assert [field.numel() for field in state] == [field.numel() for field in model.step(seen[0], state)[1]]


@torch.no_grad()
def test_keys_that_are_not_used_change_nothing():
    model = build(MATCHED)
    plain, off = CRVOS(TINY).double().eval(), CRVOS(dataclasses.replace(MATCHED, matching=False)).double().eval()
    off.load_state_dict(model.state_dict())
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("keys.")})
    frame, masks = torch.rand(1, 3, 32, 48).double(), (torch.rand(1, 2, 32, 48) > 0.5).double()
    assert model.needs_first_frame and not off.needs_first_frame
    one, other = (each.step(each.encode(frame), each.start(None, masks)) for each in (plain, off))
    assert torch.equal(one[0], other[0]) and type(one[1]) is type(other[1])


def test_matching_bad_arguments():
    with pytest.raises(ValueError, match="matched is 0 to 4096 channels and lasting 1 to 64 frames, not 8 and 0"):
        dataclasses.replace(TINY, matched=8, lasting=0)
    with pytest.raises(ValueError, match="matched has nothing to replace where specifier is 'none'"):
        dataclasses.replace(ROWS["I"], matched=8)


def test_stride_16_by_dilation_equals_torchvisions():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    trunk = Trunk("resnet50", (1, 2, 4), dilated=True).eval()
    official = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=[False, False, True]).eval()
    loaded = official.load_state_dict(trunk.net.state_dict(), strict=False)
    assert loaded.missing_keys == ["fc.weight", "fc.bias"] and not loaded.unexpected_keys
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        y = official.maxpool(official.relu(official.bn1(official.conv1(x))))
        expected = []
        for layer in (official.layer1, official.layer2, official.layer3, official.layer4):
            y = layer(y)
            expected.append(y)
        found = trunk(x)
    for one, other in zip(found, [expected[0], expected[1], expected[3]], strict=True):
        torch.testing.assert_close(one, other)
    assert found[2].shape == (1, 2048, 4, 4)


def test_a_stride_on_the_first_convolution_of_a_bottleneck_takes_every_other_pixel():
    torch.manual_seed(0)
    usual = Trunk("resnet50", (1, 2, 3)).eval()
    first = Trunk("resnet50", (1, 2, 3), stride_on="1x1").eval()
    first.load_state_dict(usual.state_dict())
    with torch.no_grad():
        found, other = first(torch.rand(1, 3, 64, 64)), usual.net
        y = found[0]
        for stage, expected in ((other.layer2, found[1]), (other.layer3, found[2])):
            stage[0].conv2.stride = stage[0].downsample[0].stride = (1, 1)
            y = stage(y[:, :, ::2, ::2])
            torch.testing.assert_close(expected, y)


def test_a_stride_is_moved_only_where_there_are_bottlenecks():
    with pytest.raises(ValueError, match="no bottleneck"):
        build(dataclasses.replace(TINY, stride_on="1x1"))
    with pytest.raises(ValueError, match="stride_on is one of"):
        dataclasses.replace(TINY, stride_on="7x7")


def test_folding_batch_norm_changes_nothing_but_speed():
    frozen, folded = build(TINY), build(FOLDED)
    plain = Trunk("resnet18", (1, 2, 3)).double()
    plain.load_state_dict(frozen.trunk.state_dict())
    from vos_zoo.models.parts.folding import fold_batch_norm

    fold_batch_norm(plain.net)
    folded.trunk.load_state_dict(plain.state_dict())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.rand(1, 3, 32, 48).double()
    for one, other in zip(frozen.trunk(x), folded.trunk(x), strict=True):
        torch.testing.assert_close(one, other)


def test_batch_norm_stays_frozen_in_training():
    model = build(TINY)
    before = {n: b.clone() for n, b in model.named_buffers()}
    model.train()
    model.encode(torch.rand(2, 3, 32, 32).double())
    assert all(torch.equal(before[n], b) for n, b in model.named_buffers())


def test_a_batch_of_clips_equals_single_clips_and_inactive_slots_do_not_count():
    model = build(TINY)
    frames, masks = torch.rand(2, 3, 32, 48).double(), torch.rand(2, 3, 32, 48).double()
    active = torch.tensor([[True, True, True], [True, True, False]])
    with torch.no_grad():
        probs, state = model.step(model.encode(frames), model.start(None, masks, active))
        first, _ = model.step(model.encode(frames[:1]), model.start(None, masks[:1]))
        second, _ = model.step(model.encode(frames[1:]), model.start(None, masks[1:, :2]))
    torch.testing.assert_close(probs[:1], first)
    torch.testing.assert_close(probs[1:, :3], second)
    assert not probs[1, 3].any()
    assert torch.equal(model.keep(state, torch.tensor([2, 0])).masks, state.masks[:, [2, 0]])


def test_annotate_adds_corrects_and_takes_pixels():
    model = build(TINY)
    state = model.start(None, torch.ones(1, 1, 32, 32))
    masks = torch.zeros(1, 2, 32, 32)
    masks[0, 1, :, :16] = 1
    state = model.annotate(None, masks, torch.tensor([[False, True]]), state)
    assert state.masks[0, 0].tolist() == [[0, 1], [0, 1]] and state.masks[0, 1].tolist() == [[1, 0], [1, 0]]
    assert state.active.all()


# ---- aggregation and coordinates


@pytest.mark.parametrize("background", ["min", "prod"])
def test_aggregation_equals_the_formula(background):
    torch.manual_seed(1)
    logits = torch.randn(2, 4, 5, 6).double() * 8
    logits[0, 0, 0, 0], logits[0, 1, 0, 1] = 40, -40  # beyond the clamp
    fg = logits.sigmoid().clamp(1e-7, 1 - 1e-7)
    for b in range(2):
        expected = reference_aggregation(list(1 - fg[b]), list(fg[b]), product=background == "prod")
        torch.testing.assert_close(aggregate(logits, background=background)[b].double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("background", ["min", "prod"])
def test_one_object_at_seventy_percent_is_sharpened(background):
    probs = aggregate(torch.logit(torch.tensor(0.7)).view(1, 1, 1, 1), background=background)
    assert probs.flatten().tolist() == pytest.approx([0.3**2 / (0.7**2 + 0.3**2), 0.7**2 / (0.7**2 + 0.3**2)], abs=1e-5)
    assert round(float(probs[0, 1]), 3) == 0.845


def test_aggregation_sums_to_one_whatever_comes():
    logits = torch.tensor([[-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]]).view(1, 2, 1, 3)
    probs = aggregate(logits)
    assert torch.isfinite(probs).all()
    torch.testing.assert_close(probs.sum(1), torch.ones(1, 1, 3))
    with pytest.raises(ValueError, match="'min' or 'prod', not 'max'"):
        aggregate(logits, background="max")


def test_coordinates():
    y, x, r = coordinates(3, 5, torch.zeros(()))
    np.testing.assert_allclose(y[:, 0], [-1, 0, 1])
    np.testing.assert_allclose(x[0], [-1, -0.5, 0, 0.5, 1])
    assert r.max() == pytest.approx(2**0.5) and r[1, 2] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "hf-hub:someone/thing"}, r"'hf-hub:someone/thing' is no model of timm"),
        ({"backbone": "local-dir:/tmp"}, r"is no model of timm"),
        ({"backbone": "resnet19"}, r"'resnet19' is no model of timm .* for instance resnet18"),
        ({"reduced": (1, 2)}, r"reduced must be three channel counts"),
        ({"blended": (10**9, 1, 1)}, r"blended must be three channel counts between 1 and 4096"),
        ({"backbone_stages": 5}, r"backbone_stages is 3 or 4, not 5"),
        ({"batch_norm": "live"}, r"batch_norm is one of"),
        ({"specifier": "coordinates"}, r"specifier is 'clue', 'mask' or 'none', not 'coordinates'"),
        ({"refine": "nearest"}, r"refine is 'deconvolution' or 'bilinear', not 'nearest'"),
        ({"background": "max"}, r"'min' or 'prod', not 'max'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Config(**arguments)
