"""Processes that work through items: they may die, fail, and be left by their parent."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from vos_zoo.errors import VosZooError
from vos_zoo.system.workers import MOST_DEATHS, Pool, work_through


@dataclass(frozen=True)
class Item:
    name: str


def lost(item, reason):
    return f"{item.name}: {reason}"


def no_frame(name, done):
    pass


class Work:
    """Gives the number of its process and what came; dies of "die", fails at "fail"."""

    def begin(self):
        return self.one

    def one(self, item, report):
        if item.name.startswith("die"):
            os._exit(7)
        if item.name == "fail":
            raise ZeroDivisionError("x")
        if item.name == "end":
            raise EOFError("the end of some file, not of the work")
        report(5)
        return f"{item.name} {os.getpid()}"


class Unable:
    def begin(self):
        raise VosZooError("there is no such model")


def items(*names):
    return [Item(name) for name in names]


def test_one_job_is_done_here():
    frames = []
    found = list(work_through([Work()], items("a", "b"), lambda *what: frames.append(what)))
    assert found == [f"a {os.getpid()}", f"b {os.getpid()}"] and frames == [("a", 5), ("b", 5)]
    assert list(work_through([Work()], [], no_frame)) == []


def test_what_dies_or_fails_is_lost_and_nothing_else():
    names = "a", "die", "b", "fail", "end", "c"
    found = sorted(work_through([Work(), Work()], items(*names), no_frame, lost=lost))
    assert [each.split()[0] for each in found] == ["a", "b", "c", "die:", "end:", "fail:"]
    assert found[3:] == [
        "die: its process ended with exit status 7",
        "end: EOFError: the end of some file, not of the work",
        "fail: ZeroDivisionError: x",
    ]
    assert all(int(each.split()[1]) != os.getpid() for each in found[:3])


def test_processes_that_only_die_end_the_work():
    found = []
    with pytest.raises(VosZooError, match="a process ended with exit status 7 before all clips were done"):
        for each in work_through([Work()], items(*[f"die{n}" for n in range(9)]), no_frame, lost=lost):
            found.append(each)
    assert len(found) == MOST_DEATHS


def test_a_job_that_can_not_begin_is_told():
    with pytest.raises(VosZooError, match="^there is no such model$"):
        list(work_through([Unable()], items("a"), no_frame, lost=lost))


def test_a_pool_keeps_its_process():
    pool = Pool([Work()], lost=lost)
    try:
        (first,) = pool.work(items("a"), no_frame)
        second, third = pool.work(items("b", "c"), no_frame)
        (dead,) = pool.work(items("die"), no_frame)
        (after,) = pool.work(items("d"), no_frame)
    finally:
        pool.close()
    assert len({each.split()[1] for each in (first, second, third)}) == 1
    assert dead == "die: its process ended with exit status 7" and after.split()[1] != first.split()[1]


def test_what_can_not_be_handed_over_is_told():
    with pytest.raises(VosZooError, match="several processes need a model and clips that can be handed to them"):
        list(work_through([lambda: None, Work()], items("a", "b"), no_frame))
