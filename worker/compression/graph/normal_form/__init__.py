"""One shape for every ONNX graph, before anything is done with it: folded, traced, tidied, in float32."""
