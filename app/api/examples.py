"""Requests that run, for the documentation. A test POSTs each of them."""

from typing import Any, Final

MODEL: Final = "mdl_01jd6x3v0m8q4r7t9w2y5z1a3c"
DATASET: Final = "dst_01jd6x3v0m8q4r7t9w2y5z1a3d"

JOBS: Final[dict[str, dict[str, Any]]] = {
    "smallest": {
        "summary": "Weights to int8, no data needed",
        "value": {"model": MODEL, "recipe": {"steps": [{"kind": "int8_dynamic"}]}},
    },
    "static": {
        "summary": "Weights and activations to int8, judged on held-out data",
        "value": {
            "model": MODEL,
            "name": "int8 for the phone",
            "tags": {"team": "vision"},
            "recipe": {"steps": [{"kind": "int8_static", "calibration": "percentile", "samples": 512}]},
            "data": {
                "calibration": {"dataset": DATASET, "slice": [0, 512]},
                "evaluation": {"dataset": DATASET, "slice": [512, 1024]},
            },
            "evaluation": {"metric": "top1"},
            "require": {"max_metric_drop": 0.01, "min_speedup": 1.5},
            "benchmark": {"batch_sizes": [1, 8], "threads": 1},
        },
    },
    "half": {
        "summary": "Half precision, with a limit on the size",
        "value": {
            "model": MODEL,
            "recipe": {"steps": [{"kind": "float16"}]},
            "require": {"max_size_ratio": 0.55},
        },
    },
}
