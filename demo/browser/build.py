"""Builds the page without a server: everything that it needs in one folder of files, which any web server can offer.

`vos-zoo demo --browser` builds and serves it. npm fetches the two packages that package-lock.json pins, once; after that the folder needs
nothing more.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vos_zoo

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent
if str(DEMO) not in sys.path:
    sys.path.insert(0, str(DEMO))

from studio.choices import parts  # noqa: E402
from studio.examples import EXAMPLES, FOLDER, Example  # noqa: E402
from studio.marks import encode_runs  # noqa: E402
from studio.templates import painter_parts, player_parts  # noqa: E402

OWN = ("page.js", "engine.js", "worker.js", "model.js", "follow.js", "pointing.js", "pictures.js", "clips.js", "film.js", "masks.js",
       "packing.js", "parts.js", "app.webmanifest", "icon.svg")  # fmt: skip
GRAPHICS = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")  # for a graphics card
PACKAGES = {
    "onnxruntime-web/dist": ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm", *GRAPHICS),
    "mediabunny/dist/bundles": ("mediabunny.min.mjs",),
    "mediabunny": ("LICENSE",),
}
MODEL = "crvos:fast"  # where none is named
MARKER = "site.json"  # what the page asks first: its examples, precisions, and the files that it keeps for later
Report = Callable[[str], None]


def build(
    out: Path,
    model: str,
    *,
    packages: Path | None = None,
    precisions: tuple[str, ...] = ("int8", "float32"),
    points: bool = True,
    report: Report = print,
) -> None:
    """Writes the page into a folder, whole or not at all.

    Args:
        out: where to. A page that lies there is replaced; a folder that holds anything else is refused.
        model: a checkpoint's name, folder or owner/repo, one that is given masks; or one of the page's choices, "crvos:fast".
        packages: node_modules that are there already, instead of npm.
        precisions: of the graphs, the first is what the page takes.
        points: whether objects may be clicked on, which takes 14 MB more.
        report: told what is being done.

    Raises:
        VosZooError: the model can't be a graph, npm is missing or can't fetch, or the folder is not free.
    """
    if out.exists() and not (out / MARKER).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise vos_zoo.SaveError(f"{out} holds something else than this page: choose another folder")
    if packages is None and shutil.which("npm") is None:
        raise vos_zoo.VosZooError("building the page needs npm, once: install Node.js, which brings it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".vos-zoo-browser-") as scratch:
            site = Path(scratch) / "site"
            site.mkdir()
            report(f"writing the graphs of {model}")
            _write_model(site / "model", model, precisions)
            if points:
                vos_zoo.export_pointer(site / "pointer", int8=True)
                (site / "pointer" / "look.onnx").unlink()  # the page takes the other, a quarter of its size
            report("fetching onnxruntime-web and mediabunny")
            _write_packages(site / "vendor", packages or _fetched(Path(scratch)))
            _write_page(site, precisions, points)
            if out.exists():
                shutil.rmtree(out)
            shutil.move(str(site), out)
    except OSError as error:
        raise vos_zoo.SaveError(f"{out} can't be written: {error.strerror or error}. Choose another folder") from error


def serve(folder: Path, host: str, port: int, *, open_it: bool, report: Report = print) -> None:
    """Offers the page until Ctrl-C, and isolated, so that its model may use several threads. OSError if the port is taken."""
    with http.server.ThreadingHTTPServer((host, port), functools.partial(Handler, directory=str(folder))) as server:
        shown = "127.0.0.1" if host in ("", "0.0.0.0") else host
        address = f"http://{shown}:{server.server_port}/"
        report(f"{address}  (Ctrl-C ends it)")
        if open_it:
            webbrowser.open(address)
        server.serve_forever()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the page, with their types whatever the system believes of them."""

    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _write_model(folder: Path, model: str, precisions: tuple[str, ...]) -> None:
    """export.json and the graphs that it names, in each precision."""
    folder.mkdir()
    name, quality = parts(model)
    for precision in precisions:
        segmenter = vos_zoo.load(name, runtime="onnxruntime", device="cpu", dtype=precision, redetection=False, quality=quality or "normal")
        if segmenter.finds_objects:
            raise vos_zoo.VosZooError(f"{model} finds its objects itself, and this page is for marking them: take another model")
        source: Any = segmenter.model
        for graph in source.manifest.graphs.values():
            name = graph.files[precision].file
            shutil.copyfile(source.folder / name, folder / name)
        said = json.loads((source.folder / "export.json").read_text(encoding="utf-8"))
        inner = segmenter.config.preprocess
        said["preprocess"] |= {"short_side": inner.short_side, "size": inner.size and list(inner.size)}
        (folder / "export.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _fetched(folder: Path) -> Path:
    """node_modules, as the lock file says."""
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    command = [shutil.which("npm") or "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise vos_zoo.VosZooError(f"npm can't fetch onnxruntime-web and mediabunny: {error.stderr.strip():.400}") from error
    return folder / "node_modules"


def _write_packages(folder: Path, packages: Path) -> None:
    folder.mkdir()
    for place, names in PACKAGES.items():
        for name in names:
            source = packages / place / name
            if not source.is_file():
                raise vos_zoo.VosZooError(f"{source} is missing: give no --packages, and npm fetches what is needed")
            shutil.copyfile(source, folder / (f"{place}-{name}" if "." not in name else name))


def _write_page(site: Path, precisions: tuple[str, ...], points: bool) -> None:
    for name in OWN:
        shutil.copyfile(HERE / name, site / name)
    html = (HERE / "index.html").read_text(encoding="utf-8")
    for name, (template, script) in {"painter": painter_parts(), "player": player_parts()}.items():
        html = html.replace(name.upper(), template)
        (site / f"{name}.js").write_text(f"export default function (element, props, trigger, watch) {{\n{script}\n}}\n", encoding="utf-8")
    (site / "index.html").write_text(html, encoding="utf-8")
    styles = (DEMO / "studio" / "page.css", DEMO / "studio" / "painter.css", DEMO / "studio" / "player.css", HERE / "look.css")
    (site / "page.css").write_text("\n".join(path.read_text(encoding="utf-8") for path in styles), encoding="utf-8")
    (site / "examples").mkdir()
    examples = [_write_example(site / "examples", example) for example in EXAMPLES]
    files = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(hashlib.sha256((site / name).read_bytes()).digest() for name in files)).hexdigest()[:16]
    worker = (HERE / "offline.js").read_text(encoding="utf-8").replace("BUILD", digest)
    (site / "offline.js").write_text(worker, encoding="utf-8")
    shutil.copyfile(HERE / "space.md", site / "README.md")  # what a static Space is run by; the page itself does not need it
    kept = [name for name in files if name not in {f"vendor/{each}" for each in GRAPHICS} | _second_choice(site / "model", precisions)]
    said = {"precisions": list(precisions), "points": points, "examples": examples, "files": [*kept, MARKER]}
    (site / MARKER).write_text(json.dumps(said) + "\n", encoding="utf-8")


def _second_choice(folder: Path, precisions: tuple[str, ...]) -> set[str]:
    """Graphs that the page takes only when it is asked to: kept when they are first used."""
    graphs = json.loads((folder / "export.json").read_text(encoding="utf-8"))["graphs"].values()
    first, *others = ({graph["files"][precision]["file"] for graph in graphs} for precision in precisions)
    return {f"model/{name}" for name in set().union(*others) - first}


def _write_example(folder: Path, example: Example) -> dict[str, Any]:
    for name in (example.clip, example.picture):
        shutil.copyfile(FOLDER / name, folder / name)
    runs = None if example.first_mask is None else encode_runs(vos_zoo.read_mask(FOLDER / example.first_mask).labels)
    return {"title": example.title, "words": example.words, "clip": example.clip, "picture": example.picture, "runs": runs}
