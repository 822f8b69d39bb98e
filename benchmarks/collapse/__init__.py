"""`make bench-collapse`: models that fall apart in 8 bits, by the usual calls, by peers and by ours.

`python -m benchmarks.collapse [MODEL …]` prints one table of all models, or of those named.

Collapsed means: more than 5 points of top-1 lost, or without labels below 10 dB, under ONNX Runtime's `quantize_static`

    (a)  with its true defaults: every operator, activations and weights s8, per tensor, minimum and maximum
    (b)  with op_types_to_quantize=[Conv, Gemm, MatMul], as common exporters call it

Models are files of ../shared, MiniLM, the same rewritten so that the float function stays and scales drift apart
(`made`), and networks trained here (`trained`). Files and logs of all candidates stay in var/collapse.
"""
