"""Settings that hold for all tests: no network, the Hub's client offline, one thread an operation is enough."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))
