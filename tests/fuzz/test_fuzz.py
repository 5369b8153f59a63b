"""Some cases of every fuzz target, and proof that the campaign sees a fault of each kind."""

from __future__ import annotations

import os

import pytest

from fuzz import campaign as campaigns
from fuzz.campaign import campaign
from fuzz.target import all_targets

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="cases run in forks")
CASES = int(os.environ.get("VOS_ZOO_FUZZ_CASES", "40"))


@pytest.mark.parametrize("name", sorted(all_targets()))
def test_no_case_ends_in_anything_but_a_result_or_a_sentence(name, tmp_path):
    all_targets()[name].case(1, 0, tmp_path)  # seeds are made once, here, for all forks
    report = campaign(name, seed=1, cases=CASES)
    assert report.faults == [] and report.cases == CASES
    assert report.counts["result"] and report.counts["sentence"], f"{report}: a target that only ever does one thing finds nothing"


@pytest.mark.parametrize(
    ("name", "said"),
    [("raises", "KeyError: 'fault'"), ("crashes", "Segmentation fault"), ("hangs", "no answer"), ("takes_memory", "MB")],
)
def test_a_fault_is_seen_and_the_campaign_goes_on(name, said, monkeypatch):
    if name == "hangs":
        monkeypatch.setattr(campaigns, "LONGEST", 1.0)
    if name == "takes_memory":
        monkeypatch.setattr(campaigns, "MOST_MEMORY", 1 << 27)
    report = campaign(f"proving-{name}", seed=0, cases=6)
    assert report.cases == 6 and report.counts["result"] and report.counts["fault"] == len(report.faults) > 0
    assert all(said in fault for fault in report.faults)
    again = campaign(f"proving-{name}", seed=0, cases=6)
    assert [fault.split(":")[0] for fault in again.faults] == [fault.split(":")[0] for fault in report.faults]
