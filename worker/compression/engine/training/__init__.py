"""Training a graph: batches in, better weights out.

train.py        the way of one training, top to bottom
batches.py      rows of a dataset as tensors, shuffled, streamed, augmented
objective.py    what is minimised, and what is told of the validation
descent.py      optimizer, schedule of the rate, one step
rate.py         the range test that proposes a learning rate
watch.py        progress, curves, and when a training has diverged
"""
