"""Convert other formats to ONNX. torch is imported inside the functions only, and only ever in the sandboxed child."""
