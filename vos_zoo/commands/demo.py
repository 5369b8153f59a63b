"""vos-zoo demo: the page for the browser, on this machine. A video, a drawing on one frame, and the objects cut out of every frame.

Ctrl-C ends it. What is uploaded stays on this machine; the page says after what time it is deleted.

--browser offers another page, which computes in the visitor's own browser and sends nothing anywhere. It is built into a folder, once, for
which npm is needed; that folder of files can be offered by any web server.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from vos_zoo.commands.options import say
from vos_zoo.errors import VosZooError

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers

PACKAGE = Path(__file__).resolve().parent.parent
SITE = Path("vos_zoo_browser")


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("demo", help="the page for the browser", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0: the whole network (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.add_argument("--models", metavar="NAME,...", help="models on offer, also folders of your own (default: all that have weights)")
    parser.add_argument("--browser", nargs="?", const=SITE, type=Path, metavar="FOLDER",
                        help=f"the page that computes in the browser; built into FOLDER unless it is there (default: {SITE})")  # fmt: skip
    parser.add_argument("--packages", type=Path, metavar="FOLDER", help="with --browser: node_modules that are there, instead of npm")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.browser is not None:
        return _in_the_browser(args)
    if importlib.util.find_spec("gradio") is None:
        raise VosZooError("the page needs gradio: pip install gradio")
    app = _module("vos_zoo_demo_app", folder() / "app.py")
    models = [name.strip() for name in (args.models or "").split(",") if name.strip()]
    page = app.build(app.Choices(models or None))
    try:
        app.launch(page, server_name=args.host, server_port=args.port, inbrowser=args.open)
    except OSError as error:
        raise VosZooError(
            f"the page can't be served on {args.host}, port {args.port or 'from 7860'}: {error}. Choose another --port"
        ) from error
    return 0


def folder() -> Path:
    """Where the page lies: inside the package when installed from a wheel, in demo/ beside it in a checkout."""
    inside, beside = PACKAGE / "demo_app", PACKAGE.parent / "demo"
    if (inside / "app.py").is_file():
        return inside
    if (beside / "app.py").is_file() and (PACKAGE.parent / "pyproject.toml").is_file():
        return beside
    raise VosZooError(
        f"this installation carries no page (looked for {inside} and {beside}). Install the library again: "
        "pip install --force-reinstall 'vos_zoo[demo]'"
    )


def built(site: Path, models: str | None = None, packages: Path | None = None) -> ModuleType:
    """Builds the page without a server into a folder, unless it is there and no model is named. Returns its builder."""
    page = _module("vos_zoo_demo_browser", folder() / "browser" / "build.py")
    names = [name.strip() for name in (models or page.MODEL).split(",") if name.strip()]
    if len(names) != 1:
        raise VosZooError("the page in the browser has one model: give one name to --models")
    if models or not (site / page.MARKER).is_file():
        page.build(site, names[0], packages=packages, report=say)
    return page


def _in_the_browser(args: argparse.Namespace) -> int:
    page = built(args.browser, args.models, args.packages)
    try:
        page.serve(args.browser, args.host, args.port or 7860, open_it=args.open)
    except OSError as error:
        raise VosZooError(f"the page can't be served on {args.host}, port {args.port or 7860}: {error}. Choose another --port") from error
    return 0


def _module(name: str, path: Path) -> ModuleType:
    """A file of the page as a module, with the folder studio/ beside app.py."""
    sys.path.insert(0, str(folder()))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
