"""Outputs become predictions: one module for each family of heads."""
