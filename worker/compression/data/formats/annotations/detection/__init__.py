"""Boxes of objects, one module for each format that detectors are trained with."""
