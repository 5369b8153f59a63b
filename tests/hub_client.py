"""The real huggingface_hub client, in a process of its own, against tests/hub_server.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hub_server import READER, TOKEN

SECRETS = (TOKEN, READER, "hf_wrongwrongwrongwrong")
ROOT = Path(__file__).resolve().parent.parent

# The client waits 23 s in all between its tries.
NO_WAITING = "import time; time.sleep = lambda seconds: None\n"


def client(code: str, cache: Path, address: str, **env: str) -> Any:
    """Runs code in a fresh process, since HF_ENDPOINT is read at import, and reads what it prints last as JSON.

    No output may hold a token.
    """
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1,localhost",
        "OMP_NUM_THREADS": "1",
    }
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    settings["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    done = subprocess.run(
        [sys.executable, "-c", NO_WAITING + code], capture_output=True, text=True, timeout=600, check=False, env={**kept, **settings, **env}
    )
    assert done.returncode == 0, done.stderr
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS)
    return json.loads(done.stdout.splitlines()[-1])
