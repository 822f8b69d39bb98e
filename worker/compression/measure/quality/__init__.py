"""Metrics on labels, outputs sample by sample, and intervals of both."""
