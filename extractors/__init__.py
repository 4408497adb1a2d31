"""Frames in, vectors out: one file per network, and what they all promise in `base`."""
