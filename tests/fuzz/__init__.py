"""Hostile input by the thousand: targets make it from seeds of their own, and each must end in a result or in a VosZooError.

    python -m tests.fuzz --minutes 10            all targets, in turn
    python -m tests.fuzz --target masks --seed 7 --case 532        one case again, in this process

A file in targets/ is the registration: it holds TARGETS, a list of `Target`. See target.py.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as conftest.py does it for tests
