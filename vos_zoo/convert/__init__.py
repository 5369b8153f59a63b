"""Checkpoints as the models' authors published them, turned into folders that `vos_zoo.load` takes.

One file a model (`crvos.py`, `rvos.py`, `stm.py`); `published.py` reads the authors' files, `folder.py` fits their tensors into a model,
tries it, and writes the folder. The conversion runs where the file lies, and the terms of the weights stay their authors'.
"""
