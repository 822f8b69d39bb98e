"""Prints the table."""

from benchmarks import hostile
from benchmarks.parts import print_parts

print_parts(hostile, "What strangers do")
