"""Publish a checkpoint folder on the Hugging Face Hub, or demo/ as a Space: with a server, or without one (--browser).

    python tools/push_to_hub.py FOLDER --repo-id owner/name [--private] [--revision BRANCH | --create-pr] [--tag v1] [--dry-run]
    python tools/push_to_hub.py --space owner/name [--browser]

The same as `vos-zoo push`; what is checked and how it is sent is in vos_zoo/publish/.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vos_zoo.cli import main

if __name__ == "__main__":
    given = sys.argv[1:]
    as_space = any(each.split("=")[0] == "--space" for each in given) and "--browser" not in given
    if as_space and not Path("demo").is_dir():
        given = [str(Path(__file__).resolve().parent.parent / "demo"), *given]
    sys.exit(main(["push", *given]))
