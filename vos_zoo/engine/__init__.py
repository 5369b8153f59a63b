"""One video through a model.

The files read bottom-up as one frame's walk: grid, read_ahead, states, views, appearance, redetection, session, propagation, batched.
"""
