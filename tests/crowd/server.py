"""python -m tests.crowd.server FOLDER KEEP: the page with a tiny model. Says where it is, and ends when its input does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import demo_page


def functions(page: Any) -> dict[str, int]:
    """The page's handlers by the names of their methods: what a browser calls by number."""
    return {each.fn.__name__: number for number, each in page.fns.items() if each.fn is not None}


def main(folder: Path, keep: float) -> None:
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "files")
    app = demo_page.app()
    import torch
    from studio.choices import Choices
    from studio.limits import Limits

    torch.set_num_threads(1)
    names = demo_page.save_models(folder / "models")
    page = app.build(Choices([names["one"], names["two"]]), Limits(keep=keep, megabytes=5))  # type: ignore[arg-type]
    _, address, _ = app.launch(page, warm=True, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    told = {"address": address, "functions": functions(page), "model": names["one"], "files": str(page.storage.folder), "pid": os.getpid()}
    print(json.dumps(told), flush=True)
    sys.stdin.read()
    page.close(verbose=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
