"""`make bench-hostile`: what strangers were seen to do to the service, and what holds against each of it.

`python -m benchmarks.hostile [PART …]` prints one table of all parts, or of those named.
"""
