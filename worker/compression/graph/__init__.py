"""The ONNX graph: the gate before it, loading and normalising, tidying, cost, facts."""
