"""ONNX Runtime: sessions, one node computed alone, values inside a graph watched while it runs."""
