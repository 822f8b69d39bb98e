"""Prints the table."""

from benchmarks import faults
from benchmarks.parts import print_parts

print_parts(faults, "What misled, came out wrong or was too large")
