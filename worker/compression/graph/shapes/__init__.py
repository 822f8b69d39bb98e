"""Shapes of the values of a graph: inferred by onnx, and computed where only computing tells."""
