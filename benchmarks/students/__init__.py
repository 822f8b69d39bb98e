"""`make bench-students`: what students, depth and distillation reach.

`python -m benchmarks.students [PART …]` prints one table of all parts, or of those named.

    keywords  half the latency of the keyword spotter, distilled without labels: five folds, three seeds
    boxes     half the multiply-accumulates of a detector, distilled on photographs without labels
    sweep     every float model of ../shared and 21 exported networks: blocks found, cut and run, or the reason
"""
