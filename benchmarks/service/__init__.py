"""`make bench-service`: what the service carries.

`python -m benchmarks.service [PART …]` prints one table of all parts, or of those named.

    uploads      a file of 1 GiB (`WINNOW_BENCH_MIB`), raw and as a form, beside `cat | tee | sha256sum` with sync
    bucket       the same size into a bucket, beside `rclone copyto` into the same server
    interrupted  the same over connections that break off, to a service that is killed meanwhile
    crowd        submitting, polling and listing among 10,000 and 100,000 jobs, on SQLite and PostgreSQL
    hosts        `WINNOW_BENCH_JOBS` (200) on two hosts that share no folder, and `WINNOW_BENCH_FAULTS` (60) of all
                 kinds at random moments of `WINNOW_BENCH_SEED` (0)
    training     a host killed after a third of a training (`WINNOW_BENCH_STEPS`, 36,000); the weights beside those of
                 one that nobody disturbed
    owners       whether the time of an answer tells what another owner has
    scale        a search for the size on two hosts beside one, and a no-op on four
    flat         `WINNOW_BENCH_MINUTES` (20) of mixed load: memory, descriptors, scratch, queue
"""
