"""Prints the table."""

from benchmarks import pages
from benchmarks.parts import print_parts

print_parts(pages, "Pages")
