"""Prints the table."""

from tests.benchmarks import faults
from tests.benchmarks.parts import print_parts

print_parts(faults, "What misled, came out wrong or was too large")
