"""Frames in, videos out."""
