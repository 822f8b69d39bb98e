"""The ground floor over onnx_ir: names, constants, walks over protobufs, 8-bit ranges. Knows nothing of its uses."""
