"""`make bench-students`: networks with fewer layers, heads, channels and words, and what training brings back.

`python -m benchmarks.students [PART …]` prints one table of all parts, or of those named.

    texts     a classifier of sentences made from MiniLM: a chain that makes it ten times as fast, beside others
    images    ResNet-20 by depth and channels beside channels alone, at equal latency, and at half the MACs
    small     a network like MobileNet that learns from ResNet-20, with values inside both and without
    keywords  half the latency of a keyword spotter, five folds
    boxes     half the MACs of a detector, trained on photographs without labels
    sweep     every float model of ../shared and 21 exported networks: blocks found, cut and run, or why not

Training is repeated with the seeds 0, 1 and 2 (boxes: once). Settings are to be chosen on data that no row reports on,
as `WINNOW_BENCH_CHOOSING` judges. Trainings use a GPU where there is one, and are `WINNOW_BENCH_LONGER` (1) times as
long as stated.
"""
