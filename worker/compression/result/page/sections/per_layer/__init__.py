"""Sections that show the network layer by layer."""
