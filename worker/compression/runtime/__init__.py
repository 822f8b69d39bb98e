"""ONNX Runtime: sessions, one node computed alone, values inside a graph observed while it runs."""
