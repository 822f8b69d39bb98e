"""Benchmarks: one module, one command (`make bench-NAME`), one table."""
