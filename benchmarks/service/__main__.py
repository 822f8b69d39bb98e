"""Prints the table."""

from benchmarks import service
from benchmarks.parts import print_parts

print_parts(service, "What the service carries")
