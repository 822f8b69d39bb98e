"""Readers of dataset files: bytes that nobody vouches for become a `Table`, one module a format."""
