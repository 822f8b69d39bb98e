"""Requests that run, for the documentation. A test POSTs each of them."""

from typing import Any, Final

MODEL: Final = "mdl_01jd6x3v0m8q4r7t9w2y5z1a3c"
OTHER_MODEL: Final = "mdl_01jd6x3v0m8q4r7t9w2y5z1a3e"
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
    "finetune": {
        "summary": "Three epochs on labels; the learning rate is found",
        "value": {
            "model": MODEL,
            "recipe": {"steps": [{"kind": "finetune", "epochs": 3}]},
            "data": {
                "training": {"dataset": DATASET, "slice": [0, 768]},
                "evaluation": {"dataset": DATASET, "slice": [768, 1024]},
            },
            "evaluation": {"metric": "top1"},
        },
    },
    "distillation": {
        "summary": "A smaller network learns from the upload, without labels, and takes its place",
        "value": {
            "model": MODEL,
            "recipe": {
                "steps": [
                    {"kind": "distillation", "student": OTHER_MODEL, "epochs": 10, "temperature": 4.0},
                ]
            },
            "data": {"training": {"dataset": DATASET}},
            "limits": {"seconds": 10800},
        },
    },
    "trained_int4": {
        "summary": "Weights in 4 bits, trained through the rounding towards the original's answers",
        "value": {
            "model": MODEL,
            "recipe": {
                "steps": [
                    {"kind": "int8_static", "weight_bits": 4},
                    {"kind": "quantization_aware_training", "teacher": "original", "epochs": 3},
                ]
            },
            "data": {
                "calibration": {"dataset": DATASET, "slice": [0, 512]},
                "training": {"dataset": DATASET, "slice": [0, 768]},
                "evaluation": {"dataset": DATASET, "slice": [768, 1024]},
            },
            "evaluation": {"metric": "top1"},
            "require": {"max_metric_drop": 0.02, "max_size_ratio": 0.2},
        },
    },
}
