"""The memory's read: equal to the plain softmax, by chunks or fused, of the slots in use; keys that begin alike."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vos_zoo.models.parts import memory
from vos_zoo.models.parts.memory import read_fused, read_in_chunks, read_memory, start_alike, unit


@pytest.mark.parametrize("read", [read_fused, read_in_chunks])
def test_the_read_equals_the_plain_softmax(read, monkeypatch):
    torch.manual_seed(0)
    asked, keys, values = torch.randn(2, 1, 21, 4).double(), torch.randn(2, 3, 50, 4).double() * 4, torch.randn(2, 3, 50, 6).double()
    mask = torch.rand(2, 3, 1, 50) > 0.4
    share = (torch.einsum("bnc,bkpc->bknp", asked[:, 0], keys) / 2).masked_fill(~mask, -torch.inf).softmax(-1)
    monkeypatch.setattr(memory, "BLOCK", 1)  # 16 queries at once, then 5
    torch.testing.assert_close(read(asked, keys, values, mask), share @ values)
    whole = (torch.einsum("bnc,bkpc->bknp", asked[:, 0], keys) / 2).softmax(-1) @ values
    torch.testing.assert_close(read(asked, keys, values, None), whole)


def test_the_affinity_is_never_held_whole(monkeypatch):
    seen = []
    plain = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, "softmax", lambda x, *a, **o: (seen.append(x.numel()), plain(x, *a, **o))[1])
    monkeypatch.setattr(memory, "BLOCK", 20_000)
    read_memory(torch.randn(1, 4, 12, 20), torch.randn(1, 2, 3, 240, 4), torch.randn(1, 2, 3, 240, 6), torch.ones(1, 2, 3).bool())
    assert sum(seen) == 240 * 2 * 3 * 240 and max(seen) <= 16 * 2 * 3 * 240


def test_slots_not_in_use_are_not_read():
    torch.manual_seed(0)
    query, keys, values = torch.randn(1, 4, 2, 3), torch.randn(1, 2, 4, 6, 4), torch.randn(1, 2, 4, 6, 5)
    valid = torch.tensor([[[True, False, True, False], [True, False, False, False]]])
    found = read_memory(query, keys, values, valid)
    spoilt = torch.where(valid[..., None, None], keys, torch.full_like(keys, 1e4))
    torch.testing.assert_close(read_memory(query, spoilt, values, valid), found)
    torch.testing.assert_close(found[:1], read_memory(query, keys[:, :1, [0, 2]], values[:, :1, [0, 2]], valid[:, :1, [0, 2]]))
    torch.testing.assert_close(found[1:], read_memory(query, keys[:, 1:, :1], values[:, 1:, :1], valid[:, 1:, :1]))


def test_unit_keys_have_length_one_and_stay_zero_where_they_are():
    key = torch.randn(2, 5, 3, 4) * 100
    key[0, :, 0, 0] = 0
    found = unit(key.half())
    assert found.dtype == torch.float16 and not found[0, :, 0, 0].any()
    torch.testing.assert_close(unit(key).norm(dim=1).flatten()[1:], torch.ones(23))


def test_keys_that_begin_alike_keep_what_features_have_in_common():
    """As many channels out as in: a rotation, so that dot products of keys are those of the features."""
    one, other = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
    start_alike(one, None, other)
    features = torch.randn(1, 6, 4, 5)
    keys, same = one(features).flatten(2)[0], other(features).flatten(2)[0]
    torch.testing.assert_close(keys, same)
    plain = features.flatten(2)[0]
    torch.testing.assert_close(keys.T @ keys, plain.T @ plain)
