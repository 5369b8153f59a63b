"""How many clicks a mask takes: the protocol on a toy that finds whatever has the colour of the click."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pointing_toy import scene, toy_pointer

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation import clicks
from vos_zoo.evaluation.clicks import ClickScores, ObjectClicks, Target, click


def test_a_simulated_user_points_at_every_object(tmp_path):
    picture, red, green = scene()
    seen: list[str] = []
    targets = [Target(name, lambda: picture, lambda mask=mask: mask) for name, mask in (("red", red), ("green", green))]
    scores = click(toy_pointer(), targets, progress=lambda done: seen.append(done.name))
    figures = scores.figures()
    assert seen == ["red", "green"] and figures["NoC@85"] == figures["NoC@90"] == 1
    assert min(figures["mIoU@1"], figures["mIoU box"], figures["mIoU snapped"]) > 90 > figures["mIoU circle"] > 40
    scores.to_json(tmp_path / "clicks.json")
    assert json.loads((tmp_path / "clicks.json").read_text())["figures"] == figures
    assert scores.table().split()[0] == "objects" and scores.table().splitlines()[1].split()[0] == "2"


def test_what_never_agrees_counts_as_all_clicks():
    short = ObjectClicks("one", (0.5, 0.86, 0.92), 0.1, 0.2, 0.3)
    never = ObjectClicks("two", (0.4,) * 20, 0.1, 0.2, 0.3)
    assert [short.clicks_to(iou) for iou in (0.85, 0.9, 0.95)] == [2, 3, 20] and short.after(5) == 0.92
    assert ClickScores([short, never]).figures()["NoC@90"] == 11.5
    with pytest.raises(EvaluationError, match="no object to click on"):
        ClickScores().figures()


@pytest.mark.parametrize("how", ["1-click", "box", "circle", "snapped-circle"])
def test_a_model_may_begin_with_what_a_user_marks(monkeypatch, how):
    picture, red, green = scene()
    monkeypatch.setattr("vos_zoo.pointing.model.kept_pointer", lambda *names: toy_pointer())
    found = clicks.begun(how, [picture], {0: np.where(red, 1, np.where(green, 4, 0))})
    assert list(found) == [0] and set(found[0]) == {1, 4}
    overlap = (found[0][1] & red).sum() / (found[0][1] | red).sum()
    assert overlap < 0.9 if how == "circle" else overlap > 0.9
