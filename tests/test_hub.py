"""The real huggingface_hub client against a server on loopback. No network.

HF_ENDPOINT is read when huggingface_hub is imported, so the clients run in processes of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vos_zoo import hub

TOKEN = "hf_secretsecretsecret"
OLD, NEW = "a" * 40, "b" * 40
ROOT = Path(__file__).resolve().parent.parent


class Server(ThreadingHTTPServer):
    """As much of the Hub as loading needs: HEAD and GET of /{owner}/{name}/resolve/{revision}/{file}."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[tuple[str, str, str], bytes] = {}  # (repository, commit, file)
        self.refs = {"main": NEW, "v1": OLD, OLD: OLD, NEW: NEW}
        self.requests: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, repo: str, commit: str, folder: Path) -> None:
        for path in folder.iterdir():
            self.files[repo, commit, path.name] = path.read_bytes()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        owner, name, _, revision, file = self.path.lstrip("/").split("?")[0].split("/", 4)
        repo, commit = f"{owner}/{name}", self.server.refs.get(revision)
        login = self.headers.get("Authorization")
        if login is not None and login != f"Bearer {TOKEN}":
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        if name == "private" and login is None:
            return self.refuse(401, "RepoNotFound", "Repository not found")
        if name == "gated":
            return self.refuse(403, "GatedRepo", "Access to model is restricted")
        if name == "broken":
            return self.refuse(500, None, "Internal error")
        if not any(key[0] == repo for key in self.server.files):
            return self.refuse(404, "RepoNotFound", "Repository not found")
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        content = self.server.files.get((repo, commit, file))
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if name == "cut":
            content = content[: len(content) // 2]
            self.close_connection = True
        if body:
            self.wfile.write(content)

    def refuse(self, status: int, code: str | None, message: str) -> None:
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        running.files["owner/toy", NEW, "notes.txt"] = b"new"
        running.files["owner/toy", OLD, "notes.txt"] = b"old"
        running.files["owner/cut", NEW, "notes.txt"] = bytes(1000)
        running.files["owner/private", NEW, "notes.txt"] = b"private"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


# The client waits 23 s in all between its tries.
NO_WAITING = "import time; time.sleep = lambda seconds: None\n"


def client(code: str, cache: Path, address: str, **env: str) -> Any:
    """Runs code in a fresh process and reads what it prints last as JSON. No output may hold the token."""
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    settings["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    done = subprocess.run(
        [sys.executable, "-c", NO_WAITING + code], capture_output=True, text=True, timeout=120, check=False, env={**kept, **settings, **env}
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


FETCHES: dict[str, dict[str, Any]] = {
    "not cached": {"repo_id": "owner/other", "local_files_only": True},
    "missing": {"repo_id": "owner/nothing"},
    "private": {"repo_id": "owner/private"},
    "gated": {"repo_id": "owner/gated"},
    "no revision": {"revision": "v9"},
    "no file": {"filename": "absent.txt"},
    "wrong token": {"filename": "fresh.txt", "token": "hf_wrongwrongwrong"},
    "server error": {"repo_id": "owner/broken"},
    "cut in mid-download": {"repo_id": "owner/cut"},
    "token with a newline": {"token": TOKEN + "\n"},
    "empty revision": {"revision": ""},
    "main": {},
    "tag": {"revision": "v1"},
    "commit": {"revision": OLD},
    "with token": {"repo_id": "owner/private", "token": TOKEN},
    "cached": {"local_files_only": True},
}

FETCH_ALL = """
import json, traceback
from vos_zoo import hub
from vos_zoo.errors import VosZooError
said = {}
for name, given in json.loads(%r).items():
    given = {"repo_id": "owner/toy", "filename": "notes.txt", **given}
    try:
        said[name] = ["fetched", hub.fetch(**given).read_text(), ""]
    except VosZooError as error:
        said[name] = [type(error).__name__, str(error), traceback.format_exc()]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return client(FETCH_ALL % json.dumps(FETCHES), tmp_path_factory.mktemp("cache"), server.address)


@pytest.mark.parametrize(
    ("case", "content"), [("main", "new"), ("tag", "old"), ("commit", "old"), ("with token", "private"), ("cached", "new")]
)
def test_fetching(said, case, content):
    assert said[case][:2] == ["fetched", content]


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        ("not cached", ["'owner/other' is not in the cache", "local_files_only=True forbids", "Load it once"]),
        ("missing", ["no repository 'owner/nothing' on the Hub", "Check the spelling", "hf auth login"]),
        ("private", ["no repository 'owner/private' on the Hub, or it is private", "token="]),
        ("gated", ["'owner/gated' is gated. Accept its terms at https://huggingface.co/owner/gated", "token="]),
        ("no revision", ["'owner/toy' has no revision 'v9'", "leave revision= out"]),
        ("no file", ["'owner/toy' on the Hub holds no absent.txt", "Check the name"]),
        ("wrong token", ["the Hub refused access to 'owner/toy' (HTTP 401)", "log in again"]),
        ("server error", ["could not be fetched from the Hub (HTTP 500)", "try again"]),
        ("cut in mid-download", ["notes.txt of 'owner/cut' could not be fetched from the Hub", "try again"]),
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
    assert TOKEN not in everything and "hf_wrong" not in everything and "Bearer" not in everything


def test_a_dead_network_is_said(tmp_path):
    once = {"dead": {}, "offline": {"local_files_only": True}}
    said = client(FETCH_ALL % json.dumps(once), tmp_path, "http://127.0.0.1:9")
    assert "could not be fetched from the Hub (ConnectError)" in said["dead"][1]
    assert "Check the network" in said["dead"][1] and "list_models()" in said["dead"][1]


def test_offline_mode_is_said(tmp_path):
    said = client(FETCH_ALL % json.dumps({"offline": {}}), tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set forbids" in said["offline"][1]


LOAD = """
import json
from test_zoo import install_toy
install_toy()
from vos_zoo import zoo
from vos_zoo.errors import VosZooError
said = []
for name, given in json.loads(%r):
    try:
        segmenter = zoo.load(name, **given)
        said.append(["loaded", float(segmenter.model.norm.running_mean[0]), segmenter.config.description])
    except VosZooError as error:
        said.append([type(error).__name__, str(error), ""])
print(json.dumps(said))
"""


def checkpoint(folder: Path, mean: float, description: str) -> Path:
    from test_zoo import StubSegmenter, Toy, toy_config

    from vos_zoo import zoo
    from vos_zoo.config import ModelConfig

    config = ModelConfig.from_dict(toy_config(description=description))
    model = Toy(Toy.Config(**config.model_args))
    model.norm.running_mean.fill_(mean)
    return zoo.save(StubSegmenter(model, config), folder)  # type: ignore[arg-type]


def test_whole_checkpoints_are_loaded_from_the_hub_and_then_from_the_cache(server, tmp_path):
    server.put("owner/whole", OLD, checkpoint(tmp_path / "old", 1.0, "old"))
    server.put("owner/whole", NEW, checkpoint(tmp_path / "new", 2.0, "new"))
    server.put("owner/torn", NEW, tmp_path / "new")
    old_weights = server.files["owner/whole", OLD, "model.safetensors"]
    server.files["owner/torn", NEW, "model.safetensors"] = old_weights
    server.put("owner/foreign", NEW, tmp_path / "new")
    foreign = {**json.loads((tmp_path / "new" / "config.json").read_text()), "architecture": "os.system"}
    server.files["owner/foreign", NEW, "config.json"] = json.dumps(foreign).encode()
    server.files["owner/empty", NEW, "README.md"] = b"nothing"

    calls = [
        ["owner/whole", {}],
        ["owner/whole", {"revision": "v1"}],
        ["owner/whole", {"local_files_only": True}],
        ["owner/torn", {}],
        ["owner/foreign", {}],
        ["owner/empty", {}],
    ]
    said = client(LOAD % json.dumps(calls), tmp_path / "cache", server.address)
    assert said[:3] == [["loaded", 2.0, "new"], ["loaded", 1.0, "old"], ["loaded", 2.0, "new"]]
    assert said[3][0] == "CheckpointError" and "is not the file that its config describes" in said[3][1]
    assert said[4][0] == "CheckpointError"
    assert "config.json of 'owner/foreign': unknown architecture 'os.system'. Known: Toy." in said[4][1]
    assert said[5][0] == "ModelNotFoundError"
    assert "'owner/empty' on the Hub holds no config.json" in said[5][1]

    asked = [each for each in server.requests if "/owner/" in each]
    assert not any("foreign" in each and "safetensors" in each for each in asked), "fetched before the check"
    assert f"GET /owner/whole/resolve/{NEW}/model.safetensors" in asked, "not from the config's commit"

    server.requests.clear()
    again = client(LOAD % json.dumps(calls[:1]), tmp_path / "cache", server.address)
    assert again == said[:1]
    assert server.requests == ["HEAD /owner/whole/resolve/main/config.json"]

    server.requests.clear()
    offline = client(LOAD % json.dumps(calls[:1]), tmp_path / "cache", server.address, HF_HUB_OFFLINE="1")
    assert offline == said[:1] and server.requests == []


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
