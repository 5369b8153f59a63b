"""Many clips on a Ray of this machine, with two actors."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from many_clips import Fragile, Still, unable, write_clips, write_video

import vos_zoo
from vos_zoo.errors import VosZooError
from vos_zoo.jobs import on_ray
from vos_zoo.jobs.destination import place_of
from vos_zoo.jobs.folder import find_tasks
from vos_zoo.jobs.run import Run
from vos_zoo.jobs.task import Task
from vos_zoo.jobs.work import Propagating

pytest.importorskip("ray.data", reason="ray is not installed: pip install 'ray[data]'")


@pytest.fixture(scope="module")
def cluster():
    before = dict(os.environ)
    paths = [str(Path(__file__).parents[1]), str(Path(vos_zoo.__file__).parents[1]), before.get("PYTHONPATH", "")]
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        with on_ray.Cluster("local") as found:
            yield found
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_two_actors_do_all_clips(cluster, tmp_path):
    write_clips(tmp_path / "many", "ant", "bee", "cat", "crash", "refused")
    out, began = f"file://{tmp_path}/out", tmp_path / "began"
    tasks = find_tasks(str(tmp_path / "many")).tasks
    share = on_ray.Share(actors=2, gpus=0, cpus=1)
    place = place_of(out)
    place.begin()
    run = Run.open(place, {"size": 416}, tasks)
    job = Propagating(partial(Fragile, began), {}, ("masks",), out, run.id)
    records = {record["name"]: record for record in cluster.work_through(job, tasks, share)}
    assert {name: record["status"] for name, record in records.items()} == {
        "ant": "done", "bee": "done", "cat": "done", "crash": "failed", "refused": "failed"}  # fmt: skip
    assert records["crash"]["error"] == "its process ended with exit status 9"
    assert records["refused"]["error"] == "refused does not fit; make it fit"
    assert sorted(began.read_text().split()) == ["ant", "bee", "cat", "crash", "refused"]
    found, changed = Run.open(place_of(out), {"size": 416}, tasks).finished(tasks)
    assert found == {name: records[name] for name in ("ant", "bee", "cat")} and changed == []
    for task in tasks[:3]:
        Still().propagate(task.video, task.mask).save(tmp_path / "alone" / task.name)
        files = sorted((tmp_path / "alone" / task.name).iterdir())
        assert len(files) == 5
        for path in files:
            assert (tmp_path / "out" / task.name / "masks" / path.name).read_bytes() == path.read_bytes()
        assert json.loads((tmp_path / "out" / task.name / "record.json").read_text()) == records[task.name]


def test_an_actor_does_no_clip_again_and_says_why_it_ends(tmp_path):
    """Here, without the cluster."""
    write_clips(tmp_path / "many", "ant")
    out, (task,) = f"file://{tmp_path}/out", find_tasks(str(tmp_path / "many")).tasks
    began, row = tmp_path / "began", {"task": on_ray._packed(task)}
    actor = on_ray.Actor(Propagating(partial(Still, began), {}, ("masks",), out, "run"), 1)
    first, second = actor(row), actor(row)
    assert first == second and json.loads(first["record"])["status"] == "done" and began.read_text() == "ant\n"
    assert on_ray.Actor(Propagating(unable, {}, ("masks",), out, "run"), 1)(row) == {"record": "", "ended": "no model is called 'nobody'"}


def test_an_actor_that_ends_ends_the_work(cluster, monkeypatch):
    class Rows:
        context = SimpleNamespace()

        def map(self, *arguments, **options):
            return self

        def iter_rows(self):
            yield {"record": '{"name": "ant"}', "ended": ""}
            yield {"record": "", "ended": "no model is called 'nobody'"}

    monkeypatch.setattr(cluster._ray.data, "from_items", lambda rows, override_num_blocks: Rows())
    records = cluster.work_through(Propagating(Still, {}, ("masks",), "out", "run"), [Task("ant", Path("ant"))], on_ray.Share(1, 0, 1))
    assert next(records) == {"name": "ant"}
    with pytest.raises(VosZooError, match="^an actor ended: no model is called 'nobody'. What is finished is kept$"):
        next(records)


def test_what_an_actor_gets(cluster, monkeypatch):
    nodes = [{"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}}, {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}]
    nodes += [{"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]
    monkeypatch.setattr(cluster._ray, "nodes", lambda: nodes)
    assert cluster.share(None) == on_ray.Share(actors=6, gpus=1, cpus=4)
    assert cluster.share(None, cpu_only=True) == on_ray.Share(actors=6, gpus=0, cpus=4)
    assert cluster.share(2, cpu_only=True) == on_ray.Share(actors=2, gpus=0, cpus=8)
    assert cluster.share(100) == on_ray.Share(actors=100, gpus=1, cpus=1)


def test_a_task_travels_as_text(tmp_path):
    write_video(tmp_path / "bear.mp4")
    for task in (
        Task("bear", tmp_path / "bear.mp4", Path("a.png"), Path("later"), origin="line 3"),
        Task("cow", tmp_path, first_of=tmp_path),
    ):
        assert on_ray._unpacked(on_ray._packed(task)) == task


def test_no_cluster_at_an_address(cluster, monkeypatch):
    def nobody(**options):
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(cluster._ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster._ray, "init", nobody)
    with pytest.raises(VosZooError, match=r"no Ray cluster at 10\.0\.0\.1:6379 \(nobody answers\): look whether it runs"):
        on_ray.Cluster("10.0.0.1:6379")
