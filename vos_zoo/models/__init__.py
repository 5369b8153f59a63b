"""The models: one file each, which reads like its paper. `base.py` is the contract that all of them keep."""
