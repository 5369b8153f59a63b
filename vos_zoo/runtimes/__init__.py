"""Models as graphs that run without torch: written to a folder (`export.py`), and run from there (`graph_model.py`)."""
