"""`make bench-students`: networks with fewer layers, heads, channels and words, and what training brings back.

`python -m benchmarks.students [PART …]` prints one table of all parts, or of those named.

    texts     a classifier of sentences made from MiniLM: a chain that makes it ten times as fast, beside others
    images    ResNet-20 by depth and channels beside channels alone, at equal latency, and at half the MACs
    small     a network like MobileNet that learns from ResNet-20, with values inside both and without
    keywords  half the latency of a keyword spotter, five folds
    boxes     half the MACs of a detector, trained on photographs without labels
    sweep     every float model of ../shared and 21 exported networks: blocks found, cut and run, or why not

Training is repeated with the seeds 0, 1 and 2. Settings were chosen on data that no row reports on. Where there is a
GPU the trainings use it, `WINNOW_BENCH_EPOCHS` (1) times as long as stated.
"""
