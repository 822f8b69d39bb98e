"""The ONNX graph as a differentiable torch module.

operators/     one table from operator to torch function, a file for each family
module.py      GraphModule: the graph as a list of calls
trainable.py   which initializers training may change
working.py     the graph as the engine reads it, and the trained weights back into the original graph
batchnorm.py   batch normalisation put back for training, and folded again
"""
