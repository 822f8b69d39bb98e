"""Whole residual blocks are taken out."""
