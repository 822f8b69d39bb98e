"""Weights set to zero: one by one or in a pattern, and what makes up for them."""
