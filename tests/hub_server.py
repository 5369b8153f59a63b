"""As much of the Hugging Face Hub as publishing and loading need, on loopback: the real client talks to it through HF_ENDPOINT.

repositories   create, look, branches, tags, tree; private and gated; models and Spaces
upload         validate-yaml, preupload, LFS batch / PUT / verify, one commit as NDJSON, pull requests
download       resolve by branch, tag and commit, ranges; LFS files are redirected to another host, as to the Hub's CDN
faults         a status, a cut connection, a slow, stalled, dripping or endless answer, a redirect away, for requests that match
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_secretsecretsecretsecret"  # may write to the namespace "me"
READER = "hf_readonlyreadonlyreadonly"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LICENCES = {"other", "mit", "apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "unknown"}
PIPELINE_TAGS = {"mask-generation", "image-segmentation", "video-classification", "image-to-video", "other"}


@dataclass
class Repo:
    kind: str
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # commit -> path -> content
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)  # messages of the commits, first to last

    def commit(self, files: dict[str, bytes], message: str, branch: str = "main") -> str:
        content = [sorted((path, hashlib.sha256(each).hexdigest()) for path, each in files.items()), len(self.commits), message]
        oid = hashlib.sha1(json.dumps(content).encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        self.log.append(message)
        return oid

    def find(self, revision: str) -> str | None:
        return self.branches.get(revision) or self.tags.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Fault:
    request: str  # regular expression over "METHOD /path"
    # a status such as "500"; "slow"; "cut" or "stall" half-way; "cut after" it was done; "moved" by somebody else; "swap" what is sent;
    # "huge", more announced; "endless", more sent, unannounced; "drip", a byte a second; "later", come back in a day; "away" to the CDN
    does: str
    times: int = 1000


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.sent_to_cdn: list[str | None] = []  # Authorization headers that the other host saw
        self.faults: list[Fault] = []
        self.sent = 0  # pieces of answers without an end
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.cdn = f"http://localhost:{self.server_address[1]}/cdn"

    def put(self, repo_id: str, files: Path | dict[str, bytes], *, kind: str = "model", tag: str | None = None, **options: Any) -> str:
        """A commit with these files only, made without any request."""
        if isinstance(files, Path):
            files = {path.name: path.read_bytes() for path in files.iterdir()}
        repo = self.repos.setdefault(repo_id, Repo(kind, **options))
        oid = repo.commit(dict(files), "put")
        self.blobs.update({hashlib.sha256(each).hexdigest(): each for each in files.values()})
        if tag:
            repo.tags[tag] = oid
        return oid

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up are part of the tests


def is_lfs(path: str, size: int) -> bool:
    return path.endswith((".safetensors", ".png", ".mp4")) or size > 10 << 20


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        self.status, self.message, self.code = status, message, code


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.asked, self.query = unquote(url.path), parse_qs(url.query)
        said = f"{self.command} {self.asked}"
        self.server.requests.append(said)
        self.does = next((each for each in self.server.faults if each.times > 0 and re.search(each.request, said)), None)
        fault = self.does.does if self.does else ""
        if self.does:
            self.does.times -= 1
        if fault == "slow":
            time.sleep(0.1)
        if fault == "cut" and self.command in ("PUT", "POST"):
            self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
            return self.hang_up()
        if fault == "later":
            return self.reply(429, {"error": "Too many requests"}, {"Retry-After": "100000"})
        if fault == "away" and self.command == "GET":
            oid = hashlib.sha256(content := b"from another host").hexdigest()
            self.server.blobs[oid] = content
            return self.reply(302, {}, {"Location": f"{self.server.cdn}/{oid}"})
        try:
            if fault.isdigit():
                raise Refused(int(fault), "Internal error")
            self.route(self.body())
        except Refused as refused:
            headers = {"X-Error-Message": refused.message, **({"X-Error-Code": refused.code} if refused.code else {})}
            self.reply(refused.status, {"error": refused.message, "errors": [{"message": refused.message}]}, headers)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def route(self, body: bytes) -> None:
        if self.asked == "/faults":
            self.server.faults = [Fault(*each) for each in json.loads(body)]
            return self.reply(200, {})
        if self.asked.startswith("/cdn/"):
            self.server.sent_to_cdn.append(self.headers.get("Authorization"))
            return self.send_file(self.server.blobs[self.asked.rpartition("/")[2]], {})
        if self.asked.startswith("/upload/"):
            oid = self.asked.rpartition("/")[2]
            if hashlib.sha256(body).hexdigest() != oid:
                raise Refused(400, "sha256 differs")
            self.server.blobs[oid] = body
            return self.reply(200, {})
        if found := re.fullmatch(r"/(?:spaces/)?([^/]+/[^/]+)/resolve/(.+)", self.asked):
            return self.resolve(found[1], found[2])
        given = json.loads(body) if body and "ndjson" not in self.headers.get("Content-Type", "") else {}
        if self.asked == "/api/repos/create":
            return self.create(given)
        if self.asked == "/api/validate-yaml":
            return self.validate(given)
        if found := re.fullmatch(r"/(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/(batch|verify)", self.asked):
            self.writable(found[1], pull_request=True)
            return self.batch(found[1], given) if found[2] == "batch" else self.reply(200, {})
        if found := re.fullmatch(r"/api/(model|space)s/([^/]+/[^/]+)(?:/([a-z]+)(?:/(.+))?)?", self.asked):
            return self.api(found[2], found[3] or "revision", found[4] or "main", given, body)
        raise Refused(404, f"no such address: {self.asked}")

    def api(self, repo_id: str, what: str, revision: str, given: Any, body: bytes) -> None:
        repo = self.readable(repo_id) if self.command == "GET" else self.writable(repo_id, pull_request="create_pr" in self.query)
        if what == "refs":
            rows = {}
            for name in ("branches", "tags"):
                rows[name] = [{"name": key, "ref": key, "targetCommit": commit} for key, commit in getattr(repo, name).items()]
            return self.reply(200, {**rows, "converts": [], "pullRequests": []})
        if what == "branch":
            repo.branches.setdefault(revision, repo.branches["main"])
            return self.reply(200, {})
        commit = repo.find(revision)
        if commit is None:
            raise Refused(404, "Invalid rev id", "RevisionNotFound")
        files = repo.commits[commit]
        if what == "revision":
            self.reply(200, {"id": repo_id, "modelId": repo_id, "sha": commit, "private": repo.private, "siblings": [], "tags": []})
        elif what == "tree":
            self.reply(200, [self.entry(path, content) for path, content in files.items()])
        elif what == "preupload":
            self.reply(200, {"files": [self.upload_mode(each, files) for each in given["files"]]})
        elif what == "tag":
            if given["tag"] in repo.tags:
                raise Refused(409, "Tag reference exists already")
            repo.tags[given["tag"]] = commit
            self.reply(200, {})
        elif what == "commit":
            self.commit(repo_id, repo, revision, files, [json.loads(line) for line in body.splitlines()])

    def commit(self, repo_id: str, repo: Repo, branch: str, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        head, files = lines[0]["value"], dict(files)
        if self.does and self.does.does == "moved":
            repo.commit({**files, "notes.md": b"somebody else's"}, "somebody else's", branch)
        if head.get("parentCommit") not in (None, repo.branches.get(branch)):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.server.blobs:
                    raise Refused(400, f"LFS object {value['oid']} is missing")
                files[value["path"]] = self.server.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        pull_request = "create_pr" in self.query
        oid = repo.commit(files, head["summary"], "refs/pr/1" if pull_request else branch)
        if self.does and self.does.does == "cut after":
            return self.hang_up()
        extra = {"pullRequestUrl": f"{self.server.address}/{repo_id}/discussions/1"} if pull_request else {}
        self.reply(200, {"success": True, "commitOid": oid, "commitUrl": f"{self.server.address}/{repo_id}/commit/{oid}", **extra})

    def create(self, given: dict[str, Any]) -> None:
        repo_id = f"{given['organization']}/{given['name']}"
        if self.login() != TOKEN or given["organization"] != "me":
            raise Refused(403, "You don't have the rights to create a model under this namespace")
        if repo_id in self.server.repos:
            return self.reply(409, {"url": f"{self.server.address}/{repo_id}", "error": "You already created this model repo"})
        if given.get("type") == "space" and given.get("sdk") not in ("gradio", "static", "docker"):
            raise Refused(400, "a Space needs an sdk")
        private = given.get("visibility") == "private" or bool(given.get("private"))
        repo = self.server.repos[repo_id] = Repo(given.get("type") or "model", private)
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        self.reply(200, {"url": f"{self.server.address}/{repo_id}", "name": repo_id})

    def validate(self, given: dict[str, Any]) -> None:
        block = re.match(r"---\n(.*?\n)---\n", given["content"], re.DOTALL)
        try:
            meta = yaml.safe_load(block[1]) if block else {}
        except yaml.YAMLError as error:
            raise Refused(400, f"Invalid YAML: {error}") from error
        wrong = []
        if "license" in meta and (meta["license"] not in LICENCES or (meta["license"] == "other" and not meta.get("license_name"))):
            wrong.append('"license" must be one of the list')
        if given["repoType"] == "space":
            wrong += [f'"{key}" is wrong' for key in ("colorFrom", "colorTo") if meta.get(key) not in COLOURS]
        elif meta.get("pipeline_tag") not in PIPELINE_TAGS:
            wrong.append('"pipeline_tag" must be one of the list')
        for result in (each for model in meta.get("model-index", []) for each in model["results"]):
            if not result.get("task", {}).get("type") or not {"type", "name"} <= set(result.get("dataset", {})):
                wrong.append('"model-index" lacks a task or a dataset')
            wrong += ['"model-index": a metric needs type and value' for each in result["metrics"] if not {"type", "value"} <= set(each)]
        if wrong:
            raise Refused(400, "; ".join(wrong))
        self.reply(200, {"errors": [], "warnings": []})

    def entry(self, path: str, content: bytes) -> dict[str, Any]:
        row: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_blob(content)}
        if is_lfs(path, len(content)):
            row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return row

    def upload_mode(self, asked: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
        lfs, there = is_lfs(asked["path"], asked["size"]), files.get(asked["path"])
        oid = None if there is None else hashlib.sha256(there).hexdigest() if lfs else git_blob(there)
        return {"path": asked["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid}

    def batch(self, repo_id: str, given: dict[str, Any]) -> None:
        rows = []
        for each in given["objects"]:
            verify = {"href": f"{self.server.address}/{repo_id}.git/info/lfs/objects/verify"}
            actions = {"upload": {"href": f"{self.server.address}/upload/{each['oid']}"}, "verify": verify}
            rows.append({**each, **({} if each["oid"] in self.server.blobs else {"actions": actions})})
        self.reply(200, {"transfer": "basic", "objects": rows})

    def resolve(self, repo_id: str, rest: str) -> None:
        repo = self.readable(repo_id)
        if repo.gated and self.login() != TOKEN:
            raise Refused(403, "Access to model is restricted", "GatedRepo")
        revision = next((name for name in (*repo.branches, *repo.tags, *repo.commits) if rest.startswith(f"{name}/")), None)
        commit = None if revision is None else repo.find(revision)
        if revision is None or commit is None:
            raise Refused(404, "Invalid rev id", "RevisionNotFound")
        path = rest.removeprefix(f"{revision}/")
        content = repo.commits[commit].get(path)
        if content is None:
            raise Refused(404, "Entry not found", "EntryNotFound")
        if not is_lfs(path, len(content)):
            return self.send_file(content, {"X-Repo-Commit": commit, "ETag": f'"{git_blob(content)}"'})
        oid = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        self.reply(302, {}, {"X-Repo-Commit": commit, "Location": f"{self.server.cdn}/{oid}", **linked})

    def send_file(self, content: bytes, headers: dict[str, str]) -> None:
        start = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        if start:
            self.server.requests[-1] += f" from {start}"
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        whole, does = content[start:], self.does.does if self.does else ""
        length = {} if does == "endless" and self.command == "GET" else {"Content-Length": str(10**9 if does == "huge" else len(whole))}
        self.send_response(206 if start else 200)
        for name, value in {**headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            if does in ("drip", "endless", "huge"):
                return self.go_on(does)
            self.wfile.write({"cut": whole[: len(whole) // 2], "stall": whole[: len(whole) // 2], "swap": whole[::-1]}.get(does, whole))
            if does == "stall":
                time.sleep(9)

    def go_on(self, does: str) -> None:
        """Bytes without an end, until the client hangs up."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            for _ in range(60 if does == "drip" else 2000):
                self.wfile.write(b"x" if does == "drip" else b"x" * 100_000)
                self.server.sent += 1
                if does == "drip":
                    time.sleep(1)

    def readable(self, repo_id: str) -> Repo:
        repo, login = self.server.repos.get(repo_id), self.login()
        if repo is None or (repo.private and login is None):
            raise Refused(404 if login else 401, "Repository not found", "RepoNotFound")
        return repo

    def writable(self, repo_id: str, *, pull_request: bool = False) -> Repo:
        repo = self.readable(repo_id)
        if self.login() != TOKEN or not (repo_id.startswith("me/") or pull_request):
            raise Refused(403, "You don't have write access to this repository")
        return repo

    def login(self) -> str | None:
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        if given not in (None, TOKEN, READER):
            raise Refused(401, "Invalid credentials in Authorization header")
        return given

    def reply(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, *args: Any) -> None:
        pass


def running() -> Hub:
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    return hub
