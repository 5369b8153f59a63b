"""Masks in, MaskSequence, and its ways out."""
