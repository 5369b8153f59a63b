"""Costs as the papers' authors' networks have them, where nothing is shared, and as `vos-zoo info` prints them."""

from __future__ import annotations

import json

import pytest
from toy import Toy

from vos_zoo.cli import main
from vos_zoo.models.discovery import architecture_class
from vos_zoo.models.flops import Cost, cost


def counted(architecture: str, size: tuple[int, int], **args: object) -> Cost:
    found = architecture_class(architecture)
    return cost(found, found.Config(**args), size)


def convolution(into: int, out: int, height: int, width: int, kernel: int = 3) -> float:
    """GFLOP, a multiply-add counted as two."""
    return 2 * into * out * kernel * kernel * height * width / 1e9


def test_a_convolution_is_counted_by_its_formula():
    """The second refine module's guide has two channels: of its 3x3 convolution at stride 8 those are each object's own share."""
    one, two = (
        counted("CRVOS", (32, 48), backbone="resnet10t", backbone_stages=3, blended=(8, 8, 8)),
        counted("CRVOS", (32, 48), backbone="resnet10t", backbone_stages=3, blended=(8, 9, 8)),
    )
    more = convolution(2, 1, 4, 6) + 2 * 2 * 16 * 4 * 6 / 1e9  # and the deconvolution from it: 4x4 values of two channels a pixel
    assert (two.per_object - one.per_object) / 1e9 == pytest.approx(more, rel=1e-9)


def test_crvos():
    found = counted("CRVOS", (480, 864))
    assert round((found.encode + found.per_object) / 1e9, 1) == 117.7  # authors: encoder 102.6 and 15.1 for the one object
    assert round(found.parameters / 1e6, 2) == round(26.79 - 2.05, 2)
    assert (found.size, found.state_bytes) == ((480, 864), 30 * 54 * 4 + 1)  # one coarse mask, one flag


LEVELS = {  # of the decoder at 256x448: (skip, hidden, height, width)
    "RVOS": ((128, 128, 8, 14), (128, 64, 16, 28), (64, 32, 32, 56), (32, 16, 64, 112)),
    "ACCLVOS": ((128, 128, 16, 28), (64, 64, 16, 28), (32, 32, 32, 56), (16, 16, 64, 112)),
}


@pytest.mark.parametrize(("architecture", "encoder", "one", "ten"), [("RVOS", 39.4, 39.4 + 2.80, 67.3), ("ACCLVOS", None, None, 89.7)])
def test_recurrent_models(architecture, encoder, one, ten):
    """The authors decode each object with all its inputs; here objects share the skip's part, and the first has no neighbour's."""
    found = counted(architecture, (256, 448))
    skips = sum(convolution(skip, 4 * hidden, h, w) for skip, hidden, h, w in LEVELS[architecture])
    plain_encoder, plain_object = found.encode / 1e9 - skips, found.per_object / 1e9 + skips
    assert plain_encoder + 10 * plain_object == pytest.approx(ten, abs=0.25)
    if one is not None:
        assert plain_encoder == pytest.approx(encoder, abs=0.05) and plain_encoder + plain_object == pytest.approx(one, abs=0.05)


def test_stm():
    """At 480p: 287 GFLOP a frame with one frame in memory, 334 with 15 (here the first, 13 kept, the last), and 75 to memorise one."""
    plain = {"aspp": False, "spatial_constraint": False, "refine": False}
    two, fifteen = counted("SCM", (480, 864), **plain), counted("SCM", (480, 864), **plain, max_memory=14)
    assert round(two.parameters / 1e6, 2) == 38.93
    assert (fifteen.encode + fifteen.per_object) / 1e9 == pytest.approx(334 + 75, abs=1)
    assert (two.encode + two.per_object) / 1e9 == pytest.approx(287 + (334 - 287) / 14 + 75, abs=1)
    frame = 4 * 30 * 54 * (128 + 512)  # bytes: 4.15 MB a frame in memory
    assert round(frame / 1e6, 2) == 4.15
    assert fifteen.state_bytes == pytest.approx(15 * frame + 4 * 480 * 864, rel=1e-5)


def test_a_model_without_convolutions_costs_nothing_and_its_state_is_measured():
    found = cost(Toy, Toy.Config(), (40, 56))
    assert (found.encode, found.per_object, found.parameters) == (0, 0, 1)
    assert found.state_bytes == 4 * (40 * 56 + 3) + 1


# ---- vos-zoo info


def test_info_prints_the_cost(capsys):
    assert main(["info", "crvos-resnet50", "--device", "cpu"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert facts["cost"] == "117.4 GFLOP a frame (encode, shared) + 0.4 per object, of a 480x854 video at 480x864"
    assert facts["state"] == "6.5 kB an object at the video's start, in float32" and facts["parameters"] == "24,742,714"


def test_info_counts_at_the_size_that_is_asked_for(capsys):
    costs = []
    for arguments in ([], ["--size", "208"], ["--size", "240x427"], ["--size", "native"]):
        assert main(["info", "crvos-resnet18", "--json", "--device", "cpu", *arguments]) == 0
        costs.append(json.loads(capsys.readouterr().out)["cost"])
    assert [each["grid"] for each in costs] == [[416, 752], [208, 384], [240, 432], [480, 864]]
    assert {tuple(each["video"]) for each in costs} == {(480, 854)}
    pixels = [each["grid"][0] * each["grid"][1] for each in costs]
    per_pixel = [each["encode_gflops"] / n for each, n in zip(costs, pixels, strict=True)]
    assert per_pixel == pytest.approx([per_pixel[0]] * 4, rel=1e-3)
