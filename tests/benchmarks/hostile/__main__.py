"""Prints the table."""

from tests.benchmarks import hostile
from tests.benchmarks.parts import print_parts

print_parts(hostile, "What strangers do")
