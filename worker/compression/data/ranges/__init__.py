"""Datasets of which not all is here: bytes and rows are fetched when they are read."""
