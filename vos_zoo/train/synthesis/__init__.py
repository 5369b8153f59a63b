"""Clips from still images."""
