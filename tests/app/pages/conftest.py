from tests.app.api.conftest import api, dataset, job, model, npz, onnx, other_model, server

__all__ = ["api", "dataset", "job", "model", "npz", "onnx", "other_model", "server"]
