"""kill -9 at instants that nobody chose: what lies under a final name is whole, what was finished stays, and the next run cleans up.

    python -m tests.kills --kills 200 --seed 0             40 of each scenario
    python -m tests.kills --scenario train --kills 40

A scenario is a run and what must hold after it was killed: see scenarios.py.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as conftest.py does it for tests
