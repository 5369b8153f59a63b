"""Publishing with the real huggingface_hub client, against a server on loopback: one commit or none, nothing sent twice, loaded back.

One process plays all scenes in their order, with the client's debug output; the tests read what it wrote down and what the server saw.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_client import client
from hub_server import READER, TOKEN, Hub, running
from publishing import FRONT

PLAY = """
import json, os, sys, traceback, urllib.error, urllib.request, warnings
from pathlib import Path
import numpy as np
import torch
from publishing import LARGER, tiny_checkpoint, tiny_config
from huggingface_hub import ModelCard
import vos_zoo
from vos_zoo.checkpoints import catalogue
from vos_zoo.cli import main
from vos_zoo.errors import VosZooError, VosZooWarning
from vos_zoo.publish.checkpoint import checkpoint_parcel
from vos_zoo.publish.parcel import Item, Parcel
from vos_zoo.publish.push import push
from vos_zoo.publish.space import space_parcel

work, space, token, reader = json.loads(%r)
work = Path(work)
load = vos_zoo.Segmenter.from_source
first = tiny_checkpoint(work / "first", dtype="float32", model_args=LARGER)
second, third = (tiny_checkpoint(work / f"seed{seed}", seed=seed, dtype="float32") for seed in (1, 2))
shards = tiny_checkpoint(work / "shards", seed=1, dtype="float32", max_shard_bytes=2_000_000)
scenes, parcels = {}, {}


def scene(name, act, faults=()):
    request = urllib.request.Request(os.environ["HF_ENDPOINT"] + "/faults", json.dumps(faults).encode(), method="POST")
    urllib.request.urlopen(request).read()
    lines = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            done = act(lines.append)
            said = {"kind": "done", "text": str(done), "sent": list(getattr(done, "sent", ())), "commit": getattr(done, "commit", None)}
        except VosZooError as error:
            said = {"kind": type(error).__name__, "text": str(error), "trace": traceback.format_exc()}
    said["warned"] = [str(each.message) for each in caught if issubclass(each.category, VosZooWarning)]
    scenes[name] = {**said, "lines": lines}
    return scenes[name]


def pushing(folder, repo_id="me/tiny", token=token, **options):
    if (folder, repo_id) not in parcels:
        parcels[folder, repo_id] = checkpoint_parcel(folder, repo_id, load=load)
    return lambda say: push(parcels[folder, repo_id], load=load, token=token, say=say, **options)


scene("first", pushing(first, tag="v1"))
scene("again", pushing(first, tag="v1"))
scene("tag taken", pushing(second, tag="v1"))
scene("changed", pushing(second, tag="v2", message="Better weights"))
scene("shards", pushing(shards))
scene("branch", pushing(first, revision="experiment"))
scene("pull request", pushing(first, create_pr=True))
scene("pull request elsewhere", pushing(first, repo_id="other/model", create_pr=True))
scene("pull request nowhere", pushing(first, repo_id="me/nothing", create_pr=True))
scene("private", pushing(first, repo_id="me/secret", private=True))
scene("private stays", pushing(first, repo_id="me/secret"))
scene("public stays", pushing(second, private=True))
scene("not mine", pushing(first, repo_id="other/new"))
scene("reader", pushing(second, token=reader))
scene("wrong token", pushing(second, token="hf_wrongwrongwrongwrong"))
scene("no token", pushing(second, token=None))
scene("token with a newline", pushing(second, token=token + "\\n"))
scene("upload fails", pushing(third, repo_id="me/cut"), [["PUT /upload/", "500"]])
scene("cut in mid-upload", pushing(third, repo_id="me/cut"), [["PUT /upload/", "cut"]])
scene("and run again", pushing(third, repo_id="me/cut"))
scene("one server error", pushing(first, repo_id="me/healed"), [["PUT /upload/", "500", 1], ["preupload", "503", 1]])
scene("server error", pushing(second, repo_id="me/cut"), [["POST /api/models/me/cut/commit", "500"]])
scene("commit cut", pushing(second, repo_id="me/cut"), [["POST /api/models/me/cut/commit", "cut"]])
scene("commit made, answer cut", pushing(second, repo_id="me/cut"), [["POST /api/models/me/cut/commit", "cut after"]])
scene("and run again after it", pushing(second, repo_id="me/cut"))
scene("moved", pushing(first, repo_id="me/cut"), [["POST /api/models/me/cut/commit", "moved"]])
scene("slow", pushing(first, repo_id="me/slow"), [["", "slow"]])
scene("swapped", pushing(first, repo_id="me/swapped"), [["GET /cdn/", "swap"]])
scene("revision is a commit", pushing(first, revision="a" * 40))
scene("no branch name", pushing(first, revision="a..b"))
refused = Parcel("me/card", "model", (Item.of("README.md", b"---\\nlicense: nonsense\\npipeline_tag: other\\n---\\n"),))
scene("the Hub refuses the card", lambda say: push(refused, load=load, token=token))
scene("space", lambda say: push(space_parcel(space, "me/space"), load=load, token=token, say=say))
(Path(space) / "examples" / "a.png").rename(Path(space) / "examples" / "b.png")
scene("space again", lambda say: push(space_parcel(space, "me/space"), load=load, token=token, say=say))

# A model that is trained, published from memory, loaded into an empty cache, and gives the same masks.
torch.manual_seed(3)
model = vos_zoo.create(tiny_config(metrics=[]), device="cpu", dtype="float32")
frames = (np.random.default_rng(5).random((4, 48, 80, 3)) * 255).astype(np.uint8)
mask = np.zeros((48, 80), np.uint8)
mask[8:30, 10:40] = 7
pixels, truth = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(mask == 7)[None, None].float()
model.model.requires_grad_(True)
optimizer = torch.optim.SGD(model.model.parameters(), 0.01)
for _ in range(2):
    network = model.model
    logits = network.predict(network.encode(pixels[1:2]), network.start(network.encode(pixels[:1]), truth)).logits
    torch.nn.functional.binary_cross_entropy_with_logits(logits, truth).backward()
    optimizer.step()
model.model.requires_grad_(False)
scene("trained", lambda say: model.push_to_hub("me/trained", token=token, dtype=None, tag="v1"))


def masks_of(segmenter):
    return np.asarray(segmenter.propagate(frames, mask, progress=False)).tobytes().hex()


def loaded(repo_id):
    return masks_of(vos_zoo.load(repo_id, device="cpu", dtype="float32"))


scenes["masks"] = {"here": masks_of(model), "hub": loaded("me/trained")}
scenes["masks"]["tag"] = masks_of(vos_zoo.load("me/trained", revision="v1", device="cpu", dtype="float32"))
scenes["masks"]["shards"] = loaded("me/tiny") == masks_of(vos_zoo.load(shards, device="cpu", dtype="float32"))

other = vos_zoo.load(first, device="cpu", dtype="float32")
next(other.model.parameters()).data.add_(0.5)
scene("scores of other weights", lambda say: other.push_to_hub("me/other", token=token))
half = vos_zoo.load(first, device="cpu", dtype="bfloat16")
scene("bfloat16", lambda say: half.push_to_hub("me/half", token=token))
os.environ["HF_TOKEN"] = token
scenes["command"] = main(["push", str(first), "--repo-id", "me/command", "--private", "--tag", "v1"])
scenes["download"] = main(["download", "me/command", "--json"])

scenes["cards"] = {}
for name in catalogue.names():
    card = (catalogue.folder() / name / "README.md").read_text()
    for said, text in ((name, card), ("wrong", card.replace('"mask-generation"', '"video-object-segmentation"'))):
        body = json.dumps({"repoType": "model", "content": str(ModelCard(text))}).encode()  # as ModelCard.validate does
        request = urllib.request.Request(os.environ["HF_ENDPOINT"] + "/api/validate-yaml", body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request).read()
            scenes["cards"][said] = "valid"
        except urllib.error.HTTPError as error:
            scenes["cards"][said] = error.read().decode()
print(json.dumps(scenes))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    server = running()
    server.put("other/model", {".gitattributes": b"", "README.md": b"# other\n"})
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def scenes(server: Hub, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from PIL import Image

    space = tmp_path_factory.mktemp("space")
    (space / "examples").mkdir()
    (space / "README.md").write_text(FRONT, encoding="utf-8")
    (space / "app.py").write_text("import gradio\n")
    (space / "requirements.txt").write_text("vos_zoo[demo]==0.1.0\n")
    Image.new("RGB", (8, 8)).save(space / "examples" / "a.png")
    given = json.dumps([str(tmp_path_factory.mktemp("work")), str(space), TOKEN, READER])
    return client(PLAY % given, cache, server.address, HF_DEBUG="1")


def files_of(server: Hub, repo_id: str, branch: str = "main") -> dict[str, bytes]:
    repo = server.repos[repo_id]
    return repo.commits[repo.branches[branch]]


def test_the_first_push_is_one_commit_through_lfs_with_a_tag(server, scenes):
    done = scenes["first"]
    assert done["kind"] == "done" and sorted(done["sent"]) == ["README.md", "config.json", "model.safetensors"]
    repo = server.repos["me/tiny"]
    assert repo.log[:2] == ["initial commit", "Publish tiny with vos_zoo"]
    assert repo.tags["v1"] == done["commit"] and not repo.private
    weights = repo.commits[done["commit"]]["model.safetensors"]
    assert len(weights) > 10_000_000
    assert f"PUT /upload/{hashlib.sha256(weights).hexdigest()}" in server.requests
    assert any(line.startswith("new") and line.endswith("model.safetensors") for line in done["lines"])
    assert b'vos_zoo.load("me/tiny")' in repo.commits[done["commit"]]["README.md"]
    assert f"GET /cdn/{hashlib.sha256(weights).hexdigest()}" in server.requests, "it was not loaded back"


def test_the_second_push_sends_nothing(server, scenes):
    again = scenes["again"]
    assert (again["kind"], again["sent"], again["commit"]) == ("done", [], scenes["first"]["commit"])
    assert "nothing new to send" in again["text"] and all(line.startswith("same") for line in again["lines"][:-1])


def test_a_change_is_a_new_commit_and_tags_are_not_moved(server, scenes):
    assert scenes["tag taken"]["kind"] == "PublishError"
    assert "the tag 'v1' is there already" in scenes["tag taken"]["text"] and "Nothing was sent" in scenes["tag taken"]["text"]
    repo = server.repos["me/tiny"]
    assert scenes["changed"]["commit"] == repo.tags["v2"] != repo.tags["v1"]
    assert "Better weights" in repo.log and "Update tiny with vos_zoo" in repo.log


def test_shards_replace_the_single_file(server, scenes):
    assert "removed model.safetensors" in scenes["shards"]["text"]
    files = files_of(server, "me/tiny")
    numbered = [name for name in files if re.fullmatch(r"model-\d{5}-of-\d{5}\.safetensors", name)]
    assert "model.safetensors" not in files and "model.safetensors.index.json" in files and len(numbered) > 2
    assert scenes["masks"]["shards"] is True


def test_a_branch_and_pull_requests(server, scenes):
    repo = server.repos["me/tiny"]
    assert repo.branches["experiment"] == scenes["branch"]["commit"] != repo.branches["main"]
    assert f"{server.address}/me/tiny/discussions/1" in scenes["pull request"]["text"]
    assert scenes["pull request elsewhere"]["kind"] == "done" and set(files_of(server, "other/model")) == {".gitattributes", "README.md"}
    assert "model.safetensors" in files_of(server, "other/model", "refs/pr/1")
    assert "there is no 'me/nothing' on the Hub to open a pull request on" in scenes["pull request nowhere"]["text"]
    assert "me/nothing" not in server.repos


def test_visibility_is_what_was_asked_or_it_is_said(server, scenes):
    assert scenes["private"]["kind"] == "done" and scenes["private"]["warned"] == [] and server.repos["me/secret"].private
    (warning,) = scenes["private stays"]["warned"]
    assert "'me/secret' is private and stays so" in warning and "/me/secret/settings" in warning and server.repos["me/secret"].private
    assert scenes["public stays"]["kind"] == "PublishError"
    assert "is public, and you asked for a private one. Nothing was sent" in scenes["public stays"]["text"]


@pytest.mark.parametrize(
    ("scene", "parts"),
    [
        ("not mine", ["'other/new' could not be created (HTTP 403", "Log in with a token that may write"]),
        ("reader", ["'me/tiny' could not be written to (HTTP 403", "No commit was made: main stands where it stood", "hf auth login"]),
        ("wrong token", ["'me/tiny' could not be read (HTTP 401", "hf auth login"]),
        ("no token", ["you are not logged in to the Hub", "HF_TOKEN"]),
        ("upload fails", ["'me/cut' could not be written to (HTTP 500", "No commit was made"]),
        ("cut in mid-upload", ["'me/cut' could not be written to (", "No commit was made", "run it again: only what is missing is sent"]),
        ("server error", ["(HTTP 500", "No commit was made"]),
        ("commit cut", ["No commit was made", "Check the network"]),
        ("commit made, answer cut", ["main stands at ", " now, not at ", "run it again"]),
        ("moved", ["HTTP 412", "main stands at ", "Somebody else wrote to it meanwhile. Run it again"]),
        ("swapped", ["was written (commit ", "does not come back as it was sent: model.safetensors has sha256 ", "revert that commit"]),
        (
            "the Hub refuses the card",
            ['Invalid metadata in README.md. - "license" must be one of the list', "No commit was made", "correct what"],
        ),
        ("revision is a commit", ["looks like a commit: give the name of a branch"]),
        ("no branch name", ["'a..b' is no name for a branch"]),
        ("bfloat16", ["computes in bfloat16, which has rounded its weights", "dtype='float32'"]),
    ],
)
def test_each_failure_says_where_things_stand_and_what_to_do(scenes, scene, parts):
    said = scenes[scene]
    assert said["kind"] == "PublishError", said
    for part in parts:
        assert part in said["text"]


def test_a_token_that_no_header_can_carry(scenes):
    assert scenes["token with a newline"]["kind"] == "ModelNotFoundError" and "token.strip()" in scenes["token with a newline"]["text"]


def test_an_interrupted_push_leaves_the_head_as_it_was_and_goes_through_when_run_again(server, scenes):
    log = server.repos["me/cut"].log
    assert sorted(scenes["and run again"]["sent"]) == ["README.md", "config.json", "model.safetensors"]
    assert scenes["and run again after it"]["sent"] == [], "the commit had been made"
    assert log == ["initial commit", "Publish cut with vos_zoo", "Update cut with vos_zoo", "somebody else's"]
    for commit in server.repos["me/cut"].commits.values():
        assert set(commit) - {"notes.md"} in ({".gitattributes"}, {".gitattributes", "README.md", "config.json", "model.safetensors"})


def test_what_passes_by_itself(scenes):
    assert scenes["one server error"]["kind"] == scenes["slow"]["kind"] == "done"


def test_a_space_is_exactly_what_was_sent(server, scenes):
    assert scenes["space"]["kind"] == "done" and server.repos["me/space"].kind == "space"
    assert "removed examples/a.png" in scenes["space again"]["text"] and scenes["space again"]["sent"] == ["examples/b.png"]
    assert set(files_of(server, "me/space")) == {".gitattributes", "README.md", "app.py", "examples/b.png", "requirements.txt"}


def test_a_round_trip_gives_the_same_masks_and_offline_too(server, scenes, cache):
    masks = scenes["masks"]
    assert len(set(masks["here"])) > 1 and masks["here"] == masks["hub"] == masks["tag"]
    offline = OFFLINE % json.dumps(server.repos["me/trained"].tags["v1"])
    server.requests.clear()
    assert client(offline, cache, server.address, HF_HUB_OFFLINE="1") == [masks["here"], masks["here"]]
    assert server.requests == []


OFFLINE = """
import json
import numpy as np
import vos_zoo
frames = (np.random.default_rng(5).random((4, 48, 80, 3)) * 255).astype(np.uint8)
mask = np.zeros((48, 80), np.uint8)
mask[8:30, 10:40] = 7
said = []
for revision in (None, %s):
    segmenter = vos_zoo.load("me/trained", revision=revision, device="cpu", dtype="float32")
    said.append(np.asarray(segmenter.propagate(frames, mask, progress=False)).tobytes().hex())
print(json.dumps(said))
"""


def test_scores_of_other_weights_are_not_published(server, scenes):
    (warning,) = scenes["scores of other weights"]["warned"]
    assert "were measured with other weights" in warning
    assert json.loads(files_of(server, "me/other")["config.json"])["metrics"] == []
    assert json.loads(files_of(server, "me/cut")["config.json"])["metrics"] != []


def test_the_commands(server, scenes):
    assert scenes["command"] == scenes["download"] == 0
    assert server.repos["me/command"].private and "v1" in server.repos["me/command"].tags


def test_every_card_that_ships_is_valid_for_the_hub(scenes):
    wrong = scenes["cards"].pop("wrong")
    assert "pipeline_tag" in wrong and "must be one of the list" in wrong
    assert len(scenes["cards"]) >= 4 and set(scenes["cards"].values()) == {"valid"}


def test_the_token_is_in_no_message_and_no_repr(scenes):
    assert not re.search(r"hf_secret|hf_readonly|hf_wrong|Bearer", json.dumps(scenes))
    from vos_zoo.checkpoints.sources import Access

    assert "hf_" not in repr(Access(token=TOKEN))
