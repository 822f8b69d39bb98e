"""`simplify` beside onnxslim and onnxsim."""
