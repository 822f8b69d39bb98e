"""`make bench-hostile`: what strangers were seen to do to the service, and what holds against each of it.

A part is a module here with either or both of

    HELD                 item of the issue → the test that holds it (a pytest id, run by this benchmark)
    rows(folder)         what has to be measured: yields `Row`s

`python -m tests.benchmarks.hostile [PART …]` prints one table of all parts, or of those named.
"""
