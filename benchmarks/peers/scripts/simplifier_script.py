"""onnxslim or onnxsim, each by its own defaults: `python simplifier_script.py model.onnx out.onnx onnxslim|onnxsim`.

onnxsim says itself whether its answer agrees with the model; where it does not, that is an error here.
"""

import sys

import onnx


def main() -> None:
    model, out, tool = sys.argv[1:]
    loaded = onnx.load(model)
    if tool == "onnxslim":
        import onnxslim

        onnx.save(onnxslim.slim(loaded), out)
        return
    import onnxsim

    simplified, agrees = onnxsim.simplify(loaded)
    if not agrees:
        raise SystemExit("onnxsim: the simplified model does not agree with the original")
    onnx.save(simplified, out)


main()
