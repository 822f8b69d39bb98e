"""Prints the table."""

from benchmarks import students
from benchmarks.parts import print_parts

print_parts(students, "What students, depth and distillation reach")
