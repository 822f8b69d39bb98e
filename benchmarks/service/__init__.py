"""`make bench-service`: what the service can carry on a network.

`python -m benchmarks.service [PART …]` prints one table of all parts, or of those named.

    uploads      a file of 1 GiB (`WINNOW_BENCH_MIB`), raw and as a form, beside `cat | tee | sha256sum` with sync
    interrupted  the same over connections that break off, to a service that is killed meanwhile
    crowd        submitting, polling and listing among 10,000 and 100,000 jobs, on SQLite and PostgreSQL
    owners       whether the time of an answer tells what another owner has
    flat         `WINNOW_BENCH_MINUTES` (20) of mixed load: memory, descriptors, scratch, queue
"""
