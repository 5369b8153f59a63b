"""What draws the curves of a run."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from vos_zoo.errors import DataError
from vos_zoo.train.log import board_of


def test_trackio_gets_the_curves(tmp_path, monkeypatch):
    told: list[object] = []
    trackio = SimpleNamespace(
        init=lambda **about: told.append(about),
        log=lambda values, step: told.append((values, step)),
        finish=lambda: told.append("finished"),
    )
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    board = board_of("trackio", tmp_path / "koi" / "first", 0)
    board.add_scalar("loss", 0.5, 20)
    board.close()
    assert told == [{"project": "koi", "name": "first", "resume": "allow"}, ({"loss": 0.5}, 20), "finished"]


def test_a_missing_trackio_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(DataError, match="--log-with trackio needs the package trackio: pip install trackio"):
        board_of("trackio", tmp_path, 0)
