"""ONNX files in and out: loaded, saved as one file, made dense, looked at without their weights."""
