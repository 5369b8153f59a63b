"""Loading through the real huggingface_hub client, against a server on loopback. No network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_client import client
from hub_server import READER, TOKEN, Fault, Hub, running

from vos_zoo.checkpoints import hub

STEP = 10 << 20  # what the client keeps of a download that is cut, it keeps in steps of this
LARGE = {name: bytes(range(256)) * (24 << 12) + name.encode() for name in ("healed", "stalled")}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    server = running()
    server.put("owner/toy", {"notes.txt": b"old"}, tag="v1")
    server.put("owner/toy", {"notes.txt": b"new", "linked.safetensors": b"linked", "other.safetensors": b"other"})
    server.put("owner/private", {"notes.txt": b"private"}, private=True)
    server.put("owner/gated", {"notes.txt": b"gated"}, gated=True)
    for name in ("cut", "broken", "slow", "healed", "stalled"):
        server.put(f"owner/{name}", {"notes.txt": LARGE.get(name, b"whole" * 100)})
    server.faults = [
        Fault("GET /owner/cut/", "cut"),
        Fault("/owner/broken/", "500"),
        Fault("/owner/slow/", "slow"),
        Fault(f"GET /cdn/{digest(LARGE['healed'])}", "cut", 2),
        Fault(f"GET /cdn/{digest(LARGE['stalled'])}", "stall", 1),
    ]
    yield server
    server.shutdown()


FETCHES: dict[str, dict[str, Any]] = {
    "not cached": {"repo_id": "owner/other", "local_files_only": True},
    "missing": {"repo_id": "owner/nothing"},
    "private": {"repo_id": "owner/private"},
    "gated": {"repo_id": "owner/gated"},
    "no revision": {"revision": "v9"},
    "no file": {"filename": "absent.txt"},
    "wrong token": {"filename": "fresh.txt", "token": "hf_wrongwrongwrongwrong"},
    "server error": {"repo_id": "owner/broken"},
    "cut for good": {"repo_id": "owner/cut"},
    "token with a newline": {"token": TOKEN + "\n"},
    "empty revision": {"revision": ""},
    "another size": {"filename": "other.safetensors", "expected_bytes": 6},
    "main": {},
    "tag": {"revision": "v1"},
    "commit": {"revision": "the old commit"},
    "with token": {"repo_id": "owner/private", "token": READER},
    "gated with token": {"repo_id": "owner/gated", "token": TOKEN},
    "cached": {"local_files_only": True},
    "from the CDN": {"filename": "linked.safetensors", "expected_bytes": 6, "token": TOKEN},
    "cut twice": {"repo_id": "owner/healed"},
    "stalled once": {"repo_id": "owner/stalled"},
    "slow": {"repo_id": "owner/slow"},
}

FETCH_ALL = """
import hashlib, json, traceback
from vos_zoo.checkpoints import hub
from vos_zoo.errors import VosZooError
said = {}
for name, given in json.loads(%r).items():
    given = {"repo_id": "owner/toy", "filename": "notes.txt", **given}
    try:
        content = hub.fetch(**given).read_bytes()
        said[name] = ["fetched", hashlib.sha256(content).hexdigest(), ""]
    except VosZooError as error:
        said[name] = [type(error).__name__, str(error), traceback.format_exc()]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(server: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    fetches = {**FETCHES, "commit": {"revision": server.repos["owner/toy"].tags["v1"]}}
    return client(FETCH_ALL % json.dumps(fetches), tmp_path_factory.mktemp("cache"), server.address, HF_HUB_DOWNLOAD_TIMEOUT="3")


@pytest.mark.parametrize(
    ("case", "content"),
    [("main", b"new"), ("tag", b"old"), ("commit", b"old"), ("with token", b"private"), ("gated with token", b"gated"), ("cached", b"new")]
    + [("from the CDN", b"linked"), ("cut twice", LARGE["healed"]), ("stalled once", LARGE["stalled"]), ("slow", b"whole" * 100)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_fetching(said, case, content):
    assert said[case][:2] == ["fetched", digest(content)]


def test_a_cut_download_goes_on_where_it_stopped(said, server):
    for name, starts in {"healed": ["", str(STEP), str(STEP)], "stalled": ["", str(STEP)]}.items():
        address = f"GET /cdn/{digest(LARGE[name])}"
        asked = [each for each in server.requests if each.startswith(address)]
        assert [each.partition(" from ")[2] for each in asked] == starts


def test_the_other_host_sees_no_token(said, server):
    assert server.sent_to_cdn and set(server.sent_to_cdn) == {None}


def test_another_size_is_not_fetched(said, server):
    kind, message, _ = said["another size"]
    assert kind == "CheckpointError"
    assert "not the file that its config describes: 5 bytes on the Hub, 6 in the config. It was not fetched." in message
    assert not any(digest(b"other") in each for each in server.requests)


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        ("not cached", ["'owner/other' is not in the cache", "local_files_only=True forbids", "vos-zoo download owner/other"]),
        ("missing", ["no repository 'owner/nothing' on the Hub", "Check the spelling", "hf auth login"]),
        ("private", ["no repository 'owner/private' on the Hub, or it is private", "token="]),
        ("gated", ["'owner/gated' is gated. Accept its terms at https://huggingface.co/owner/gated", "token="]),
        ("no revision", ["'owner/toy' has no revision 'v9'", "leave revision= out"]),
        ("no file", ["'owner/toy' on the Hub holds no absent.txt", "Check the name"]),
        ("wrong token", ["the Hub refused access to 'owner/toy' (HTTP 401)", "log in again"]),
        ("server error", ["could not be fetched from the Hub (HTTP 500)", "try again"]),
        ("cut for good", ["notes.txt of 'owner/cut' could not be fetched from the Hub", "try again"]),
        ("token with a newline", ["token= is empty or holds blanks, line breaks", "token.strip()"]),
        ("empty revision", ["revision='' is neither a branch, a tag nor a commit"]),
    ],
)
def test_each_failure_says_what_to_do(said, case, parts):
    kind, message, _ = said[case]
    assert kind == "ModelNotFoundError"
    for part in parts:
        assert part in message


def test_no_token_in_any_message_or_traceback(said):
    everything = json.dumps(said)
    assert not any(secret in everything for secret in (TOKEN, READER, "hf_wrong", "Bearer"))


def test_a_dead_network_is_said(tmp_path):
    said = client(FETCH_ALL % json.dumps({"dead": {}}), tmp_path, "http://127.0.0.1:9")
    assert "could not be fetched from the Hub (ConnectError)" in said["dead"][1]
    assert "Check the network" in said["dead"][1] and "list_models()" in said["dead"][1]


def test_offline_mode_is_said(tmp_path):
    said = client(FETCH_ALL % json.dumps({"offline": {}}), tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE=1 forbids fetching it" in said["offline"][1]


BOUNDED = """
import json, os, threading, time
time.sleep = lambda seconds: threading.Event().wait(seconds)  # the client waits as it is told to
from vos_zoo.checkpoints import hub
from vos_zoo.errors import VosZooError
said = {}
for name, given in json.loads(%r).items():
    begun = time.perf_counter()
    os.environ["VOS_ZOO_HUB_SECONDS"] = "5" if name in ("drip", "later") else "300"
    try:
        said[name] = ["fetched", hub.fetch(**given).read_bytes().decode()]
    except VosZooError as error:
        said[name] = [type(error).__name__, str(error)]
    said[name].append(time.perf_counter() - begun)
print(json.dumps(said))
"""


def test_what_comes_is_bounded_in_bytes_and_in_time(tmp_path):
    """More announced or sent than such a file has, a byte a second, a day to wait, a redirect with a token: each in a sentence, in time."""
    server = running()
    does = ("huge", "endless", "drip", "later", "away")
    for name in does:
        server.put(f"owner/{name}", {"config.json": b"small" * 20})
    server.faults = [*(Fault(f"GET /owner/{name}/", name) for name in does if name != "later"), Fault("/owner/later/", "later")]
    given = {name: {"repo_id": f"owner/{name}", "filename": "config.json", "most_bytes": 1 << 20, "token": TOKEN} for name in does}
    try:
        said = client(BOUNDED % json.dumps(given), tmp_path, server.address)
    finally:
        server.shutdown()
    for name in ("huge", "endless"):
        assert said[name][0] == "CheckpointError", said[name]
        assert "bytes or more, at most 1,048,576 are taken for such a file" in said[name][1], said[name]
    assert server.sent < 1500  # of 2,000 pieces of an answer without an end, as much as one step of the client and what lies in between
    for name in ("drip", "later"):
        assert said[name][0] == "ModelNotFoundError" and 4 < said[name][2] < 60, said[name]
        assert "was given up after 5 seconds" in said[name][1] and "VOS_ZOO_HUB_SECONDS=10" in said[name][1]
    assert said["away"][:2] == ["fetched", "from another host"] or said["away"][0] == "ModelNotFoundError", said["away"]
    assert set(server.sent_to_cdn) == {None}


LOAD = """
import json
from test_zoo import install_toy
install_toy()
from pathlib import Path
from vos_zoo import zoo
from vos_zoo.checkpoints import catalogue
from vos_zoo.errors import VosZooError
calls, package = json.loads(%r)
catalogue.PACKAGE = Path(package)
said = []
for name, given in calls:
    try:
        segmenter = zoo.load(name, **given)
        said.append(["loaded", float(segmenter.model.norm.running_mean[0]), segmenter.config.description])
    except VosZooError as error:
        said.append([type(error).__name__, str(error), ""])
print(json.dumps(said))
"""


def checkpoint(folder: Path, mean: float, description: str, **options: Any) -> Path:
    from test_zoo import Toy, toy_config

    from vos_zoo.checkpoints.config import ModelConfig
    from vos_zoo.checkpoints.save import save

    config = ModelConfig.from_dict(toy_config(description=description))
    model = Toy(Toy.Config(**config.model_args))
    model.norm.running_mean.fill_(mean)
    return save(model, config, folder, **options)


def pinned(package: Path, name: str, checkpoint: Path, repo_id: str, revision: str) -> None:
    """An entry of the catalogue whose weights lie on the Hub."""
    from vos_zoo.checkpoints.config import ModelConfig

    data = json.loads((checkpoint / "config.json").read_text())
    data = {**data, "name": name, "weights": {**data["weights"], "hub": {"repo_id": repo_id, "revision": revision}}}
    folder = package / "hub_configs" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(ModelConfig.from_dict(data).to_json())


def test_whole_checkpoints_are_loaded_from_the_hub_and_then_from_the_cache(server, tmp_path):
    old = server.put("owner/whole", checkpoint(tmp_path / "old", 1.0, "old"), tag="v1")
    new = server.put("owner/whole", checkpoint(tmp_path / "new", 2.0, "new"))
    files = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    server.put("owner/torn", {**files, "model.safetensors": server.repos["owner/whole"].commits[old]["model.safetensors"]})
    foreign = {**json.loads(files["config.json"]), "architecture": "os.system"}
    server.put("owner/foreign", {**files, "config.json": json.dumps(foreign).encode()})
    huge = {**json.loads(files["config.json"])}
    huge["weights"] = {**huge["weights"], "bytes": 1 << 40}
    server.put("owner/huge", {**files, "config.json": json.dumps(huge).encode()})
    server.put("owner/empty", {"README.md": b"nothing"})
    sharded = server.put("owner/sharded", checkpoint(tmp_path / "shards", 3.0, "in shards", max_shard_bytes=40))
    package = tmp_path / "package"
    pinned(package, "far", tmp_path / "old", "owner/whole", old)
    pinned(package, "swapped", tmp_path / "old", "owner/whole", new)

    calls = [
        ["owner/whole", {}],
        ["owner/whole", {"revision": "v1"}],
        ["owner/whole", {"local_files_only": True}],
        ["owner/sharded", {"revision": sharded}],
        ["far", {}],
        ["owner/torn", {}],
        ["owner/foreign", {}],
        ["owner/huge", {}],
        ["owner/empty", {}],
        ["swapped", {}],
        ["far", {"revision": "v1"}],
    ]

    def load(chosen: list[Any], **env: str) -> Any:
        return client(LOAD % json.dumps([chosen, str(package)]), tmp_path / "cache", server.address, **env)

    said = load(calls)
    assert said[:3] == [["loaded", 2.0, "new"], ["loaded", 1.0, "old"], ["loaded", 2.0, "new"]]
    assert said[3:5] == [["loaded", 3.0, "in shards"], ["loaded", 1.0, "old"]]
    assert len([path for path in (tmp_path / "shards").iterdir() if path.suffix == ".safetensors"]) > 1
    refused = [
        ("CheckpointError", "is not the file that its config describes"),
        ("CheckpointError", "config.json of 'owner/foreign': unknown architecture 'os.system'. Known: Toy."),
        ("CheckpointError", "says that the weights take 1,099,511,627,776 bytes, but Toy with these model_args has 49 values"),
        ("ModelNotFoundError", "'owner/empty' on the Hub holds no config.json"),
        ("CheckpointError", "is not the file that its config describes"),
        ("ModelNotFoundError", "revision='v1' chooses a version of a Hub repository, but 'far' comes with the library"),
    ]
    for (kind, message, _), expected in zip(said[5:], refused, strict=True):
        assert kind == expected[0] and expected[1] in message

    asked = [each for each in server.requests if "/owner/" in each]
    for name in ("foreign", "huge"):
        assert not any(name in each and "safetensors" in each for each in asked), "fetched before the check"
    assert f"HEAD /owner/whole/resolve/{new}/model.safetensors" in asked, "not from the config's commit"

    server.requests.clear()
    assert load(calls[:1]) == said[:1]
    assert server.requests == ["HEAD /owner/whole/resolve/main/config.json"]

    server.requests.clear()
    by_commit = [["owner/whole", {"revision": new}], *calls[3:5]]
    assert load(by_commit) == [said[0], *said[3:5]] and server.requests == [], "a whole commit that is cached needs no request"
    assert load(calls[:1], HF_HUB_OFFLINE="1") == said[:1] and server.requests == []


def test_what_is_pinned_is_listed_as_on_the_hub(tmp_path, monkeypatch):
    from vos_zoo.checkpoints import catalogue

    monkeypatch.setattr(catalogue, "PACKAGE", tmp_path)
    folder = checkpoint(tmp_path / "old", 1.0, "A toy.")
    pinned(tmp_path, "far", folder, "owner/whole", "a" * 40)
    row = catalogue.info("far")
    assert (row.has_weights, row.ships) == (True, False) and str(row).endswith("A toy. (on the Hub)")
    assert row.sha256 == digest((folder / "model.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/repo", True),
        ("Some-One/their_crvos.v2", True),
        ("crvos", False),
        ("a/b/c", False),
        ("./a", False),
        ("../a", False),
        ("~/a", False),
        ("/a", False),
        ("a/", False),
        ("a/..b", False),
        ("a\\b", False),
        ("a/b c", False),
        ("a/b--c", False),
        ("a/" + "b" * 200, False),
    ],
)
def test_what_passes_for_a_repository(text, expected):
    assert hub.is_repo_id(text) is expected
