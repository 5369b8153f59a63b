"""A crowd on the page: visitors who upload, draw, run, stop, reload, break off and send nonsense, and what is left when they are gone.

    python -m tests.crowd --visitors 20 --minutes 10

The page is served by a process of its own on this machine, with a tiny model: see server.py. visitors.py is what they do.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as conftest.py does it for tests
