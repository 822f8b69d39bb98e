"""Residual blocks: what lies between two readings of a stream, and can go as a whole."""
