"""Limits of what a file may claim: checked, told with the way out, raised by call and by environment."""

from __future__ import annotations

import pytest

from vos_zoo.errors import MaskError, VosZooError
from vos_zoo.system.limits import DEFAULTS, check_limit, check_picture, limit, set_limits


@pytest.fixture(autouse=True)
def _as_before():
    yield
    set_limits(**dict.fromkeys(DEFAULTS))


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_claim_at_the_limit_passes_and_one_above_is_refused(name: str) -> None:
    check_limit(name, DEFAULTS[name], "the file")
    with pytest.raises(
        MaskError, match=f"the file is said to have {DEFAULTS[name] + 1} .* VOS_ZOO_MAX_{name.upper()}={DEFAULTS[name] + 1}"
    ):
        check_limit(name, DEFAULTS[name] + 1, "the file", MaskError)


@pytest.mark.parametrize("size", [(16_000, 16_000), (1, 40_000), (10**9, 10**9)])
def test_pictures_are_measured_by_side_and_by_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(VosZooError, match=f"a.png \\({size[1]}x{size[0]}"):
        check_picture(*size, "a.png")


def test_limits_are_raised_by_call_and_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOS_ZOO_MAX_PIXELS", "300000000")
    check_picture(16_000, 16_000, "a.png")
    set_limits(pixels=100)
    assert limit("pixels") == 100
    set_limits(pixels=None)
    assert limit("pixels") == 300_000_000


@pytest.mark.parametrize("value", ["-1", "0", "1e9", "many", "\u0663", "9" * 5000])
def test_a_wrong_environment_is_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("VOS_ZOO_MAX_SIDE", value)
    with pytest.raises(VosZooError, match="VOS_ZOO_MAX_SIDE"):
        limit("side")


@pytest.mark.parametrize("limits", [{"sides": 3}, {"side": 0}, {"side": "3"}, {"side": True}, {"side": 3.0}])
def test_a_wrong_limit_changes_nothing(limits: dict) -> None:
    with pytest.raises(VosZooError):
        set_limits(frames=7, **limits)
    assert limit("frames") == DEFAULTS["frames"]
