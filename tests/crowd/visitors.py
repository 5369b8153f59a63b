"""What visitors of the page do, over plain HTTP, as a browser does it. Each has a clip of a size that nobody else has."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import random
import socket
import tempfile
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import demo_page
import httpx
import numpy as np
from PIL import Image

NAMES = (
    None,
    "..",
    ".",
    "/",
    "",
    "con:1.mp4",
    "../../etc/passwd",
    "a/b.mp4",
    "~nobody",
    ".mp4",
    "a" * 400 + ".mp4",
    "a\n.mp4",
    "%2e%2e.mp4",
    "é.mp4",
    "nul",
)
NUMBERS = ("Infinity", "-Infinity", "NaN", "1e999", "99999999999999999999", "-1", '"a"', "null", "[]", "{}")


@dataclass
class Place:
    """The page: its address, and the numbers of its handlers."""

    address: str
    functions: dict[str, int]
    model: str


@dataclass
class Tally:
    """What came of all that was done."""

    done: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str) -> None:
        with self.lock:
            self.done[what] += 1

    def fault(self, what: str) -> None:
        with self.lock:
            self.faults.append(what)
        print(what, flush=True)


class Visitor:
    """One person at one browser.

    Args:
        place: the page.
        number: of the visitor: decides the size of the clip, and all that is done.
        tally: shared by all.
    """

    def __init__(self, place: Place, number: int, tally: Tally):
        self.place, self.number, self.tally = place, number, tally
        self.rng = random.Random(number)
        self.size = (64 + 8 * (number % 5), 96 + 8 * (number // 5))
        self.frames = 4 + number % 3
        self.http = httpx.Client(base_url=place.address, timeout=300)
        self.session = uuid.uuid4().hex
        with tempfile.TemporaryDirectory() as folder:
            self.clip = demo_page.write_clip(Path(folder) / "clip.mp4", self.size, self.frames).read_bytes()
        self.labels = demo_page.scene(self.size, self.frames)[1][0]

    def stay(self, until: float) -> None:
        """Does one thing after the other, each chosen anew."""
        while time.monotonic() < until:
            self.do(self.rng.choices(list(DEEDS), list(DEEDS.values()))[0])
            time.sleep(self.rng.uniform(0.2, 2))

    def do(self, deed: str) -> None:
        """One thing. A fault is an answer that no visitor should get, or somebody else's."""
        try:
            getattr(self, deed)()
            self.tally.add(deed)
        except (AssertionError, httpx.HTTPError, KeyError, ValueError, zipfile.BadZipFile) as error:
            self.tally.fault(f"visitor {self.number}, {deed}: {type(error).__name__}: {str(error)[:300]}")

    # What is done

    def program(self) -> None:
        """The endpoint, with a clip and a mask as files, called by a program: it has no page."""
        self.session = uuid.uuid4().hex
        video, mask = self._upload("clip.mp4", self.clip), self._upload("mask.png", self._mask())
        self._check(self._run([video, mask, 0, self.place.model, "", True]))

    def drawing(self) -> None:
        """The page: a clip is uploaded, an object drawn, the button pressed; now and then stopped on the way."""
        self.session = uuid.uuid4().hex
        self._open()
        self._mark(self._painted())
        stopped = self.rng.random() < 0.3
        if self._mark_and_ask() and stopped:
            threading.Timer(self.rng.uniform(0, 1), self._stop, (self.session,)).start()
        answer = self._run([None, None, 0, self.place.model, "", True])
        self._check(answer, stopped=stopped)
        self._call("on_finish")

    def reload(self) -> None:
        """A run is begun, and the page loaded anew before it ends."""
        self.session = uuid.uuid4().hex
        self._open()
        self._mark_and_ask()
        if self._join([None, None, 0, self.place.model, "", True]).status_code == 200:
            with self._events() as events:
                for _ in zip(range(2), events, strict=False):
                    pass
        self.session = uuid.uuid4().hex

    def twice(self) -> None:
        """The button pressed twice: there is one place in the queue for each."""
        self.session = uuid.uuid4().hex
        video, mask = self._upload("clip.mp4", self.clip), self._upload("mask.png", self._mask())
        data = [video, mask, 0, self.place.model, "", True]
        first = self._join(data)
        second = self._join(data)
        if first.status_code == 200:
            assert second.status_code == 400 and "another" in second.text or second.status_code == 200, second.text
            with self._events() as events:
                collections.deque(events, maxlen=0)
        self.session = uuid.uuid4().hex

    def cut_off(self) -> None:
        """An upload that ends amid the file."""
        host = urlsplit(self.place.address)
        head = (
            "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 400000\r\n\r\n"
        )
        part = '--b\r\nContent-Disposition: form-data; name="files"; filename="cut.mp4"\r\n\r\n'
        with socket.create_connection((host.hostname, host.port), timeout=30) as line:
            line.sendall((head + part).encode() + self.clip * 20)

    def odd_name(self) -> None:
        """A file whose name is none: refused in words, or taken by another name."""
        name: str | None = self.rng.choice(NAMES)
        answer = self._send(name, self.clip)
        assert answer.status_code < 500, f"{name!r}: {answer.status_code} {answer.text[:100]}"
        if answer.status_code == 200:
            path = answer.json()[0]
            assert ".." not in Path(path).parts, path
            reply = self._call("on_upload", [{"path": path, "meta": {"_type": "gradio.FileData"}}, self.place.model, "", None])
            assert reply.status_code in (200, 500) and "Traceback" not in reply.text, reply.text[:300]

    def nonsense(self) -> None:
        """Files that are no clips, values that are no drawings, arguments that are none."""
        junk = self.rng.choice((b"", b"x" * 999, self.clip[:400], b"#EXTM3U\n/etc/passwd", b"GIF89a" + b"\xff" * 40))
        name = f"a.{self.rng.choice(('mp4', 'gif', 'png', 'm3u8'))}"
        self._call("on_upload", [self._upload(name, junk), self.place.model, "", None])
        self._open()
        painted = json.dumps(self._painted())
        odd = painted.replace(str(self.labels.shape[0]), self.rng.choice(NUMBERS), 1)
        reply = self._post(f'{{"data": [{odd}, null], "fn_index": {self.place.functions["on_visit"]}, "session_hash": "{self.session}", '
                           f'"event_data": {{"frame": {self.rng.choice(NUMBERS)}}}}}')  # fmt: skip
        assert "Traceback" not in reply.text and reply.status_code in (200, 400, 422, 500), reply.text[:300]
        self._ended(
            self._join([self.rng.choice((None, "", 3, {}, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}))] + [None] * 5)
        )

    def other_file(self) -> None:
        """Files of the server that are none of the visitor's business."""
        for path in ("/etc/passwd", "../../../etc/passwd", f"{tempfile.gettempdir()}/../etc/passwd", "~/.bashrc"):
            answer = self.http.get(f"gradio_api/file={path}")
            assert answer.status_code in (403, 404, 400), (path, answer.status_code)

    # How

    def _send(self, name: str | None, data: bytes) -> httpx.Response:
        named = "" if name is None else f'; filename="{name}"'
        body = f'--b\r\nContent-Disposition: form-data; name="files"{named}\r\n\r\n'.encode() + data + b"\r\n--b--\r\n"
        return self.http.post("gradio_api/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    def _upload(self, name: str, data: bytes) -> dict[str, Any]:
        answer = self._send(name, data)
        assert answer.status_code == 200, f"upload: {answer.status_code} {answer.text[:200]}"
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def _mask(self) -> bytes:
        file = io.BytesIO()
        Image.fromarray(self.labels).save(file, "PNG")
        return file.getvalue()

    def _painted(self) -> dict[str, Any]:
        flat = self.labels.reshape(-1)
        starts = np.flatnonzero(np.diff(flat, prepend=-1))
        runs = np.stack([np.diff(starts, append=flat.size), flat[starts]], 1).reshape(-1).tolist()
        height, width = self.labels.shape
        return {"frame": 0, "height": height, "width": width, "touched": [1, 2], "loaded": [], "runs": runs}

    def _open(self) -> None:
        reply = self._call("on_upload", [self._upload("clip.mp4", self.clip), self.place.model, "", None])
        assert reply.status_code == 200, reply.text[:300]

    def _mark(self, painted: dict[str, Any]) -> None:
        """Another frame is gone to, with something drawn on the first one, and back."""
        for frame in (1, 0):
            assert self._call("on_visit", [painted, None], {"frame": frame}).status_code == 200
            painted = {}

    def _mark_and_ask(self) -> bool:
        reply = self._call("on_run", [self.place.model, "", self._painted(), None])
        assert reply.status_code == 200, reply.text[:300]
        return True

    def _stop(self, session: str) -> None:
        """Stops the run of that session; the visitor may be at another one by now."""
        with contextlib.suppress(httpx.HTTPError):
            self._call("stop", session=session)

    def _call(self, name: str, data: list[Any] | None = None, event: Any = None, session: str = "") -> httpx.Response:
        """A handler outside of the queue."""
        data = [None] if data is None else data
        body = {"data": data, "fn_index": self.place.functions[name], "session_hash": session or self.session, "event_data": event}
        return self._post(json.dumps(body))

    def _post(self, body: str) -> httpx.Response:
        return self.http.post("gradio_api/run/predict", content=body, headers={"Content-Type": "application/json"})

    def _join(self, data: list[Any]) -> httpx.Response:
        body = {"data": [*data, None], "fn_index": self.place.functions["segment"], "session_hash": self.session}
        return self.http.post("gradio_api/queue/join", json=body)

    @contextlib.contextmanager
    def _events(self) -> Any:
        with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": self.session}) as answer:
            yield (json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:"))

    def _run(self, data: list[Any]) -> dict[str, Any] | None:
        return self._ended(self._join(data))

    def _ended(self, joined: httpx.Response) -> dict[str, Any] | None:
        """What the queue says at the end; None if it was full."""
        if joined.status_code == 503:
            self.tally.add("turned away, the queue is full")
            return None
        assert joined.status_code == 200, joined.text[:300]
        with self._events() as events:
            for event in events:
                if event["msg"] == "process_completed":
                    return event
        raise AssertionError("the stream of events ended without an end")

    def _check(self, answer: dict[str, Any] | None, stopped: bool = False) -> None:
        """The result is of this visitor's clip, and begins with this visitor's mask."""
        if answer is None:
            return
        assert answer["success"], json.dumps(answer.get("output"))[:300]
        _, zipped, coco, _, told, _ = answer["output"]["data"]
        assert (told["height"], told["width"]) == self.size, f"somebody else's result: {told['height'], told['width']}, not {self.size}"
        with zipfile.ZipFile(io.BytesIO(self._fetched(zipped))) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".png"))
            assert len(names) == self.frames or (stopped and 1 <= len(names) <= self.frames), names
            first = np.asarray(Image.open(io.BytesIO(archive.read(names[0]))))
        assert np.array_equal(first, self.labels), "somebody else's mask"
        assert len(json.loads(self._fetched(coco))["images"]) == len(names)
        self.tally.add("results checked")

    def _fetched(self, file: dict[str, Any]) -> bytes:
        answer = self.http.get(f"gradio_api/file={file['path']}")
        assert answer.status_code == 200, f"{file['path']}: {answer.status_code}"
        return answer.content


DEEDS = {"program": 4, "drawing": 5, "reload": 1, "twice": 1, "cut_off": 1, "odd_name": 2, "nonsense": 2, "other_file": 1}
