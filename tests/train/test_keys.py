"""Keys that begin as principal directions: exact against numpy, and what can't be is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_data import MODEL_ARGS, bank_of, write_stills

from vos_zoo.errors import DataError
from vos_zoo.models.crvos import CRVOS
from vos_zoo.train.keys import fit_keys


def model(matched: int) -> CRVOS:
    torch.manual_seed(2)
    return CRVOS(CRVOS.Config(**MODEL_ARGS, matched=matched)).eval()


def test_keys_are_the_directions_in_which_features_vary_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.train.keys.SHORT_SIDE", 64)
    bank = bank_of(write_stills(tmp_path / "stills", 4), cache=tmp_path / "cache")
    matches = model(5)
    seen: list[np.ndarray] = []
    encode = matches.encode
    monkeypatch.setattr(matches, "encode", lambda x: (seen.append(matches.trunk(matches.trunk.normalised(x))[2][0].numpy()), encode(x))[1])
    fit_keys(matches, bank, 4)
    assert [each.shape[1:] for each in seen] == [(4, 5)] * 4  # 64 x 85, rounded to the stride
    total = 0
    for deep in seen:
        cells = deep.reshape(len(deep), -1).astype(np.float64)
        cells -= cells.mean(1, keepdims=True)
        total = total + cells @ cells.T / cells.shape[1]
    found = matches.keys.project.weight[:, :, 0, 0].detach().numpy().astype(np.float64)
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-5)
    _, directions = np.linalg.eigh(total)
    np.testing.assert_allclose(np.abs((found * directions[:, ::-1].T[:5]).sum(1)), 1, atol=1e-3)


def test_what_has_no_keys_or_too_few_stills_is_refused(tmp_path: Path) -> None:
    bank = bank_of(write_stills(tmp_path / "stills", 2), cache=tmp_path / "cache")
    with pytest.raises(DataError, match=r"this one does not: set model_args: \{matched: 128\}"):
        fit_keys(model(0), bank, 2)
    with pytest.raises(DataError, match="keys_from wants 3 stills, and there are 2"):
        fit_keys(model(4), bank, 3)
