"""A run over many clips whose parent process is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from many_clips import write_clips

import vos_zoo

PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from many_clips import Still
from vos_zoo.jobs.folder import find_tasks
from vos_zoo.jobs.destination import place_of
from vos_zoo.jobs.run import Run
from vos_zoo.jobs.work import Propagating, failed
from vos_zoo.system.workers import work_through

if __name__ == "__main__":
    root = Path(sys.argv[1])
    place, tasks = place_of(str(root / "out")), find_tasks(str(root / "many")).tasks
    place.begin()
    run = Run.open(place, {}, tasks)
    before, _ = run.finished(tasks)
    todo = [task for task in tasks if task.name not in before]
    jobs = [Propagating(partial(Still, root / "began", 0.1), {}, ("masks",), str(root / "out"), run.id)] * 2
    for record in work_through(jobs, todo, lambda name, done: None, lost=failed):
        place.log(record)
    place.end()
    print(len(before), len(todo))
"""


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_run_that_is_killed_goes_on(tmp_path):
    names = [f"clip{n}" for n in range(6)]
    write_clips(tmp_path / "many", *names)
    (tmp_path / "program.py").write_text(PROGRAM)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(vos_zoo.__file__).parents[1])])

    def started():
        return subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path], env={**os.environ, "PYTHONPATH": paths},
                                stdout=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip

    out = tmp_path / "out"
    first = started()
    until(lambda: len(list(out.glob("*/record.json"))) >= 2)
    first.kill()
    first.communicate()
    until(lambda: not alive(first.pid))  # no process is left behind
    finished = sorted(path.parent.name for path in out.glob("clip*/record.json"))
    assert 2 <= len(finished) < len(names)
    assert sorted(path.name for path in out.glob("clip*")) == finished, "a result is there whole or not at all"
    second = started()
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0 and said.split() == [str(len(finished)), str(len(names) - len(finished))]
    assert sorted(path.parent.name for path in out.glob("clip*/record.json")) == names
    logged = [json.loads(line)["name"] for line in (out / "jobs.jsonl").read_text().splitlines()]
    assert sorted(logged) == names, "also those whose line the kill prevented, and none twice"
    assert [path.name for path in out.glob(".*")] == []
