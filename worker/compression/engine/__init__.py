"""The ONNX graph as a differentiable torch module.

operators/     one table from operator to torch function, a file for each family
module.py      GraphModule: the graph as a list of calls
trainable.py   which initializers training may change
working.py     the graph as the engine reads it, and the weights back into the graph that was given
batchnorm.py   batch normalisation put back for training, and folded again
"""
