"""Winnow's int8 beside its peers: NNCF, ONNX Neural Compressor and ONNX Runtime's own quantizers."""
