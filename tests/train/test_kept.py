"""What trunks that never learn show of frames is kept, and is what the model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import Toy
from training_data import bank_of, write_stills

from vos_zoo.errors import DataError
from vos_zoo.models.acclvos import ACCLVOS
from vos_zoo.models.base import VOSModel
from vos_zoo.models.crvos import CRVOS
from vos_zoo.models.lightscm import LightSCM
from vos_zoo.models.rvos import RVOS
from vos_zoo.models.scm import SCM
from vos_zoo.train.batches import Batches
from vos_zoo.train.kept import KeptMaps
from vos_zoo.train.keys import fit_keys
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.trainer import freeze


def model() -> LightSCM:
    torch.manual_seed(0)
    return LightSCM(LightSCM.Config(**LightSCM.debug)).eval()


def frozen(kind: type[VOSModel], prefixes: tuple[str, ...] | None = None) -> Any:
    torch.manual_seed(0)
    made = kind(kind.Config(**kind.debug)).eval()
    freeze(made, prefixes or (("query_trunk",) if kind is SCM else ("trunk",)))
    return made


@pytest.mark.parametrize("kind", [CRVOS, RVOS, ACCLVOS, SCM, LightSCM])
def test_maps_are_computed_once_and_features_are_the_models(kind: type[VOSModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = frozen(kind)
    height, width = (32, 48) if made.stride == 16 else (33, 50)
    frames = (torch.rand(2, 3, height, width) * 255).round() / 255
    with torch.no_grad():
        expected = made.encode(frames)
        kept = KeptMaps(made, tmp_path / "kept")
        kept.encode(frames)
        monkeypatch.setattr(made, "maps", None)
        found = kept.encode(frames.flip(0))
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        torch.testing.assert_close(one, other.flip(0), atol=5e-3, rtol=5e-3)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_what_learns_learns_through_kept_maps(tmp_path: Path) -> None:
    light = frozen(LightSCM, ("trunk", "dino"))
    KeptMaps(light, tmp_path).encode(torch.rand(1, 3, 32, 48)).s4.sum().backward()
    assert light.skip4.weight.grad is not None and light.show4.weight.grad is None


def test_a_model_without_such_trunks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="keep is for models that tell what their trunk shows of a frame by `maps`, and Toy does not"):
        KeptMaps(Toy(), tmp_path)
    with pytest.raises(DataError, match="add `frozen: .trunk.` .SCM: .query_trunk.., or leave keep out"):
        KeptMaps(CRVOS(CRVOS.Config(**CRVOS.debug)), tmp_path)


def test_a_trunk_that_encodes_the_memory_may_learn_beside_one_that_is_kept(tmp_path: Path) -> None:
    made = frozen(SCM, ("query_trunk",))
    kept = KeptMaps(made, tmp_path / "kept")
    features = kept.encode(torch.rand(2, 3, 32, 48))
    state = made.start(features, torch.ones(2, 1, 32, 48))
    made.predict(features, state).logits.sum().backward()
    assert made.memory_trunk.net.conv1[0].weight.grad is not None
    assert all(p.grad is None for p in made.query_trunk.parameters())


def test_shows_begin_as_principal_directions_about_the_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.train.keys.SHORT_SIDE", 64)
    bank = bank_of(write_stills(tmp_path / "stills", 3), cache=tmp_path / "cache")
    light = model()
    seen: list[np.ndarray] = []
    plain = light.seen
    monkeypatch.setattr(light, "seen", lambda x: (seen.append(plain(x)[3][0].flatten(1).numpy()), plain(x))[1])
    fit_keys(light, bank, 3)
    cells = np.concatenate(seen, 1).astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(cells, bias=True))
    shown = light.show_tokens.weight[:, :, 0, 0].detach().numpy() @ cells + light.show_tokens.bias.detach().numpy()[:, None]
    np.testing.assert_allclose(shown.mean(1), 0, atol=1e-2)
    np.testing.assert_allclose((shown**2).mean(), 1, rtol=1e-2)
    np.testing.assert_allclose((shown**2).mean(1) / (shown**2).mean(), variances[::-1][:8] / variances[::-1][:8].mean(), rtol=2e-2)


def test_scenes_come_again(tmp_path: Path) -> None:
    bank = bank_of(write_stills(tmp_path / "stills", 3), cache=tmp_path / "cache")
    stage = Stage("one", 6, (32, 48), batch=1, frames=2, scenes=2)
    batches = Batches(Recipe("LightSCM", {}, [stage], clips=False, stills=("stills",)), bank, {})
    first, second, third = (batches[n].clip.frames for n in (0, 1, 2))
    assert torch.equal(first, third) and not torch.equal(first, second)
    with pytest.raises(DataError, match="scenes -1 must be 0"):
        Stage("one", 6, (32, 48), scenes=-1)
