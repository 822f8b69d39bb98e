"""Compress ONNX models: files and a Recipe in, files and a Report out. Knows no queue, HTTP or storage."""
