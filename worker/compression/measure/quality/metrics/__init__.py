"""Metrics by task: what is kept of a sample, and their values over samples drawn so and so often."""
