"""One video through a model.

The files read bottom-up as one frame's walk: grid, inputs, read_ahead, states, views, appearance, redetection, members, tracker, session,
propagation, batched.
"""
