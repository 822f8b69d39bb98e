"""`make bench-faults`: verdicts that misled, graphs that came out wrong, files larger than they need be, and what holds
against each of it.

`python -m benchmarks.faults [PART …]` prints one table of all parts, or of those named.
"""
