"""Requests that run, for the documentation. A test POSTs each of them."""

from typing import Any, Final

from winnow.contract.generate import EXAMPLE as GENERATE

MODEL: Final = "mdl_01jd6x3v0m8q4r7t9w2y5z1a3c"
OTHER_MODEL: Final = "mdl_01jd6x3v0m8q4r7t9w2y5z1a3e"
DATASET: Final = "dst_01jd6x3v0m8q4r7t9w2y5z1a3d"
JOB: Final = "job_01jd6x3v0m8q4r7t9w2y5z1a3f"
OTHER_JOB: Final = "job_01jd6x3v0m8q4r7t9w2y5z1a3m"
WORKER: Final = "wrk_01jd6x3v0m8q4r7t9w2y5z1a3h"
INQUIRY: Final = "inq_01jd6x3v0m8q4r7t9w2y5z1a3g"
KEY: Final = "key_8s3x0k2v9m4q7r1t5w6y2z8a3c"
WEBHOOK: Final = "whk_01jd6x3v0m8q4r7t9w2y5z1a3h"
DELIVERY: Final = "dlv_01jd6x3v0m8q4r7t9w2y5z1a3j"
UPLOAD: Final = "upl_01jd6x3v0m8q4r7t9w2y5z1a3k"
CURSOR: Final = "WzE3OTYxMjUzMDguMywgIm1kbF8xIl0"
"""[1796125308.3, "mdl_1"]"""

PINNING: Final[dict[str, Any]] = {
    "requestBody": {"content": {"application/json": {"example": {"pinned": True}}}}
}
"""Of the routes that pin."""

REDECLARATION: Final[dict[str, Any]] = {
    "declaration": {
        "inputs": {
            "input": {
                "array": "x",
                "layout": "NHWC->NCHW",
                "add_axis": 1,
                "scale": 0.00392156862745098,
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
            }
        },
        "constants": {"sr": 16000},
        "targets": {"array": "y"},
        "augment": ["horizontal_flip"],
    }
}

RECOMMENDATIONS: Final = {
    "items": [
        {"preset": "no-data", "suits": True, "because": "it needs nothing but the model", "problem": None}
    ]
}
PROPOSAL: Final = {"model": MODEL, "dataset": DATASET}

NEW_WEBHOOK: Final = {"url": "https://hooks.example.com/winnow", "events": ["job.succeeded", "job.failed"]}
_WEBHOOK: Final = {"id": WEBHOOK, **NEW_WEBHOOK, "created_at": "2026-01-31T12:00:00Z"}
_FAILED_JOB: Final[dict[str, Any]] = {
    "type": "job.failed",
    "timestamp": "2026-01-31T12:34:56.789012Z",
    "data": {
        "id": JOB,
        "name": "int8 for the phone",
        "state": "failed",
        "outcome": None,
        "tags": {"team": "vision"},
        "problem": {
            "type": "https://winnow.dev/problems/time_limit_exceeded",
            "title": "The time limit was reached",
            "status": 422,
            "code": "time_limit_exceeded",
            "detail": "The attempt took more than 3600 s. Allow more in `limits`.",
            "field": None,
            "layer": None,
            "errors": [],
            "request_id": None,
        },
    },
}
_SUCCEEDED_JOB: Final[dict[str, Any]] = {
    "type": "job.succeeded",
    "timestamp": "2026-01-31T12:30:00Z",
    "data": {**_FAILED_JOB["data"], "state": "succeeded", "outcome": "accepted", "problem": None},
}
_DELIVERIES: Final[list[dict[str, Any]]] = [
    {
        "id": DELIVERY,
        "state": "waiting",
        "attempts": 2,
        "status": 503,
        "error": "It was answered with 503.",
        "created_at": "2026-01-31T12:34:56.789012Z",
        "next_at": "2026-01-31T12:35:16.5Z",
        "payload": _FAILED_JOB,
    },
    {
        "id": f"{DELIVERY[:-1]}k",
        "state": "delivered",
        "attempts": 1,
        "status": 204,
        "error": None,
        "created_at": "2026-01-31T12:30:00Z",
        "next_at": None,
        "payload": _SUCCEEDED_JOB,
    },
]

JOBS: Final[dict[str, dict[str, Any]]] = {
    "smallest": {
        "summary": "Weights to int8, no data needed",
        "value": {"model": MODEL, "recipe": {"steps": [{"kind": "int8_dynamic"}]}},
    },
    "auto": {
        "summary": "The best recipe for this model, found within ten minutes",
        "value": {
            "model": MODEL,
            "recipe": {"auto": {}},
            "search": {"objective": "latency", "budget": {"seconds": 600, "trials": 40}},
            "require": {"min_snr_db": 20},
        },
    },
    "open": {
        "summary": "The smallest of several bits and blocks",
        "value": {
            "model": MODEL,
            "recipe": {
                "steps": [
                    {"kind": "weight_only", "bits": {"any_of": [8, 4]}, "block": {"any_of": [32, 128]}},
                ]
            },
            "search": {"objective": "size", "budget": {"trials": 4}},
        },
    },
    "preset": {
        "summary": "A search by its name",
        "value": {
            "model": MODEL,
            "recipe": {"preset": "no-data"},
            "search": {"objective": "size", "budget": {"trials": 6}},
        },
    },
    "static": {
        "summary": "Weights and activations to int8, judged on held-out data",
        "value": {
            "model": MODEL,
            "name": "int8 for the phone",
            "tags": {"team": "vision"},
            "recipe": {"steps": [{"kind": "int8_static", "calibration": "percentile", "samples": 512}]},
            "data": {
                "calibration": {"dataset": DATASET, "slice": [0, 512], "map": {"input": "input"}},
                "evaluation": {"dataset": DATASET, "slice": [512, 1024]},
            },
            "evaluation": {"metric": "top1", "output": "logits"},
            "require": {
                "max_metric_drop": 0.01,
                "min_speedup": 1.5,
                "max_size_ratio": 0.5,
                "min_cosine": 0.99,
            },
            "benchmark": {"batch_sizes": [1, 8], "threads": 1, "shapes": {"input": [1, 3, 8, 8]}},
        },
    },
    "one dataset": {
        "summary": "One dataset for everything, split by the seed",
        "value": {
            "model": MODEL,
            "recipe": {"steps": [{"kind": "int8_static"}]},
            "data": {"dataset": DATASET, "map": {"input": "input"}},
            "evaluation": {"metric": "top1"},
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
        "summary": "On a GPU, a smaller network learns from the upload, without labels, and takes its place",
        "value": {
            "model": MODEL,
            "recipe": {
                "steps": [
                    {"kind": "distillation", "student": OTHER_MODEL, "epochs": 10, "temperature": 4.0},
                ]
            },
            "data": {"training": {"dataset": DATASET}},
            "limits": {"seconds": 10800},
            "needs": ["cuda"],
            "target_features": ["avx2", "avx512_vnni"],
            "priority": 5,
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


STEPS: Final[list[dict[str, Any]]] = [
    {"kind": "int8", "max_drop": 0.01},
    {"kind": "int8_static", "smooth": 0.5, "exclude": ["*/head/*"]},
    {"kind": "int8_dynamic", "smooth": 0.5},
    {"kind": "weight_only", "embedding_bits": 8, "head_bits": 8},
    {"kind": "mixed_precision", "max_size_ratio": 0.3},
    {"kind": "mixed_precision", "min_speedup": 1.5},
    {"kind": "mixed_precision", "min_snr_db": 30.0},
    {
        "kind": "channel_pruning",
        "criterion": "taylor",
        "rounds": 3,
        "recovery": {"kind": "finetune", "epochs": 1},
        "round_to": 8,
        "repair": True,
    },
    {"kind": "sparsity", "sparsity": 0.5, "layers": ["/features/conv1"]},
    {"kind": "low_rank", "data_aware": True},
    {
        "kind": "finetune",
        "steps": 2000,
        "learning_rate": 0.001,
        "patience": 3,
        "gradual": {"structure": "unstructured", "sparsity": 0.5},
        "output": "logits",
    },
    {
        "kind": "distillation",
        "steps": 2000,
        "learning_rate": 0.001,
        "patience": 3,
        "gradual": {"structure": "2:4"},
        "output": "logits",
        "student": OTHER_MODEL,
        "features": [{"teacher": "/layer3/Relu_output_0", "student": "/layer2/Relu_output_0"}],
        "outputs": [{"output": "aux_logits", "weight": 0.4}],
    },
    {
        "kind": "quantization_aware_training",
        "steps": 2000,
        "learning_rate": 0.0001,
        "patience": 3,
        "output": "logits",
        "features": [{"teacher": "/layer3/Relu_output_0", "student": "/layer3/Relu_output_0"}],
        "outputs": [{"output": "aux_logits", "weight": 0.4}],
    },
]
"""A step for every setting that is null when it is left out."""

TRIALS: Final[list[dict[str, Any]]] = [
    {
        "number": 7,
        "state": "finished",
        "recipe": {"steps": [{"kind": "weight_only", "bits": 4}]},
        "size_bytes": 61440,
        "speedup": {"value": 1.31, "interval": [1.27, 1.36]},
        "metrics": {"top1": {"before": 0.97, "after": 0.964, "drop": 0.006, "interval": [0.001, 0.011]}},
        "meets": True,
        "pareto": True,
        "share": 1.0,
        "seconds": 4.2,
        "worker": "worker-1",
        "problem": None,
        "artifact": {"sha256": "5d" * 32, "size_bytes": 61440},
    },
    {
        "number": 8,
        "state": "failed",
        "recipe": {"steps": [{"kind": "int8_dynamic"}]},
        "size_bytes": None,
        "speedup": None,
        "metrics": {},
        "meets": None,
        "pareto": False,
        "share": 1.0,
        "seconds": 1.5,
        "worker": "worker-2",
        "problem": {
            "type": "https://winnow.dev/problems/memory_limit_exceeded",
            "title": "The memory limit was reached",
            "status": 422,
            "code": "memory_limit_exceeded",
            "detail": "The attempt took more than 268435456 bytes. Allow more in `limits`.",
            "field": None,
            "layer": None,
            "errors": [],
        },
        "artifact": None,
    },
]


def _checked_for_webgpu(nodes: int, taken: int, findings: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "target": "webgpu",
        "as_of": "ONNX Runtime's main branch before July 2026",
        "runs": True,
        "nodes": nodes,
        "taken": taken,
        "findings": findings,
        "more": 0,
        "by_operator": {finding["operator"]: 1 for finding in findings},
        "unchecked": [],
        "unknown": ["Which types each kernel takes, but for DequantizeLinear: int64 is taken by few."],
    }


_GENERATION: Final[dict[str, Any]] = {
    "samples": 16,
    "tokens": 128,
    "token_agreement": 1.0,
    "equal_answers": 1.0,
    "perplexity": {"before": 1.006570958277909, "after": 1.0066031267307785, "ratio": 1.0000319584551938},
    "tokens_per_second": None,
    "speedup": None,
    "speedup_interval": None,
    "untold": "other programs used 83% of the CPUs",
}
"""Measured: the encoder-decoder of `tests/support/seq2seq.py` under `int8_dynamic`, on a machine that others used."""
_KERNELS: Final[dict[str, Any]] = {
    "nodes": 20,
    "integer_nodes": 0.6,
    "float_nodes": 0.1,
    "other_nodes": 0.3,
    "integer_macs": 0.98,
    "float_macs": 0.02,
    "float_types": ["float32"],
    "products": {"Conv": 1, "QLinearConv": 9},
}

PARTS: Final[dict[str, list[dict[str, Any]]]] = {
    "Fidelity": [
        {
            "method": "occlusion",
            "input": "image",
            "output": "logits",
            "parts": 64,
            "samples": 2,
            "spearman": [0.919, 0.957],
            "mean": 0.938,
        }
    ],
    "Arithmetic": [
        {
            "runtime": "ONNX Runtime",
            "before": _KERNELS
            | {"integer_nodes": 0.0, "float_nodes": 0.67, "integer_macs": 0.0, "float_macs": 1.0},
            "after": _KERNELS,
            "says": "ONNX Runtime computes 98.0% of the multiply-accumulates of the result in integers, the rest in "
            "float32.",
        }
    ],
    "Kernels": [_KERNELS],
    "OperatorRule": [
        {
            "spatial": [2],
            "constant": [1, 2],
            "attributes": {"mode": {"one_of": ["constant"], "default": "constant"}},
            "types": {"0": ["float32"]},
        }
    ],
    "Attribute": [{"one_of": ["constant"], "default": "constant"}],
    "TargetReport": [
        {
            "target": "webgpu",
            "timed_on": "onnxruntime-cpu",
            "before": _checked_for_webgpu(12, 12, []),
            "after": _checked_for_webgpu(
                31,
                30,
                [
                    {
                        "node": "image_quantized_QuantizeLinear",
                        "operator": "QuantizeLinear",
                        "effect": "falls_back",
                        "rule": "operators",
                        "why": "QuantizeLinear is not among the operators that are taken.",
                        "source": "https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/providers/webgpu/"
                        "webgpu_execution_provider.cc",
                    }
                ],
            ),
        }
    ],
    "Energy": [
        {"joules": {"before": 0.02, "after": 0.01, "ratio": 0.5}, "source": "rapl", "why": None},
    ],
    "SearchReport": [
        {
            "objective": "size",
            "spaces": [
                {
                    "recipe": {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]},
                    "why": "it was asked for",
                }
            ],
            "trials": 2,
            "chosen": 1,
            "recipe": {"steps": [{"kind": "weight_only", "bits": 4}]},
            "sentences": [
                "Trials: 2 done.",
                "Trial 1 is the best by size of those that meet what is required.",
            ],
        }
    ],
    "RequirementResult": [
        {
            "name": "min_snr_db",
            "asked": 30,
            "measured": 21.4,
            "interval": None,
            "met": False,
            "why": "Output 'logits' is 21.40 dB above its error on 64 evaluation samples, and at least 30 was asked.",
            "cause": "Int8_static calibrated on 8 samples only.",
        }
    ],
    "NextStep": [
        {
            "why": "Leave the layers in float that cost most, as few as will do: exclude auto finds them.",
            "request": {
                "model": MODEL,
                "recipe": {"steps": [{"kind": "int8_static", "exclude": "auto"}]},
                "data": {"calibration": {"dataset": DATASET, "slice": [0, 512]}},
                "require": {"min_snr_db": 30},
            },
        }
    ],
    "ClassQuality": [{"number": 3, "before": 0.912, "after": 0.905}],
    "MetricBounds": [{"max_drop": 0.01, "min": 0.9, "max": 1.0}],
    "Requirements": [
        {"min_agreement": 0.95, "metrics": {"f1": {"max_drop": 0.01, "min": 0.8}}},
        {"max_relative_drop": 0.02, "max_latency_ms": 5, "max_size_bytes": 1000000},
        {"min_snr_db": 30, "max_memory_bytes": 67108864},
    ],
    "Evaluation": [
        {
            "task": "detection",
            "metric": "map",
            "also": ["map50"],
            "decode": {
                "kind": "boxes",
                "boxes": "boxes",
                "scores": "scores",
                "classes": "labels",
                "frame": [240, 320],
            },
        }
    ],
    "DataSplit": [
        {
            "seed": 0,
            "samples": 8,
            "counts": {"training": 4, "selection": 2, "final": 2, "unused": 0},
            "stratified": True,
            "groups": 3,
            "rows": "GIE=",
        }
    ],
    "ArrayFacts": [
        {
            "dtype": "float32",
            "shape": [1024, 40],
            "min": -3.1,
            "max": 4.7,
            "finite": False,
            "first_not_finite": [17, 3],
        }
    ],
    "ArrayInput": [REDECLARATION["declaration"]["inputs"]["input"]],
    "ImageInput": [{"from": "image", "preset": "imagenet", "column": "image", "color": "RGB"}],
    "Resize": [{"mode": "shorter", "size": 256}],
    "Letterbox": [{"size": [416, 416], "place": "corner"}],
    "TextInput": [{"from": "text", "columns": ["question", "answer"], "max_length": 128}],
    "TableInput": [{"from": "table", "columns": ["age", "sex"], "categories": {"sex": ["f", "m"]}}],
    "AudioInput": [{"from": "audio", "rate": 16000, "length": 512, "hop": 512}],
    "ArrayTarget": [{"array": "y"}],
    "ColumnTarget": [{"from": "column", "column": "label", "classes": ["no", "yes"]}],
    "AnnotationTarget": [{"from": "folder", "classes": ["cat", "dog"]}],
    "Trial": TRIALS,
    "WebhookRequest": [NEW_WEBHOOK],
    "Webhook": [_WEBHOOK],
    "NewWebhook": [{**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}],
    "Listed_Webhook_": [{"items": [_WEBHOOK], "next": f"/v1/webhooks?cursor={CURSOR}"}],
    "Delivery": _DELIVERIES,
    "EventData": [_SUCCEEDED_JOB["data"], _FAILED_JOB["data"]],
    "WebhookPayload": [_SUCCEEDED_JOB],
    "Listed_Delivery_": [
        {"items": _DELIVERIES[:1], "next": f"/v1/webhooks/{WEBHOOK}/deliveries?cursor={CURSOR}"}
    ],
    "TrialCounts": [{"waiting": 1, "running": 2, "finished": 7, "failed": 1, "stopped_early": 3}],
    "Listed_Trial_": [{"items": TRIALS[:1], "next": f"/v1/jobs/{JOB}/trials?cursor={CURSOR}"}],
    "Generate": [GENERATE],
    "GenerationReport": [_GENERATION],
    "PackageReport": [{"generation": _GENERATION}],
    "Layer": [
        {
            "name": "/embeddings/Gather",
            "op": "Gather",
            "weight": [30522, 384],
            "macs": 0,
            "table": "embeddings.word_embeddings.weight",
        }
    ],
}
"""What the answers of one service do not show."""

_MADE: Final = {
    "id": KEY,
    "name": "the build server",
    "owner": "team-vision",
    "scopes": ["read", "write"],
    "created_at": "2026-11-30T08:00:00Z",
    "expires_at": "2027-11-30T08:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}
_USED: Final = {**_MADE, "last_used_at": "2026-11-30T09:14:00Z", "revoked_at": "2026-12-01T10:00:00Z"}
_AUDITED: Final = {
    "id": "aud_01jd6x3v0m8q4r7t9w2y5z1a3h",
    "time": "2026-11-30T09:14:02Z",
    "owner": "team-vision",
    "key": KEY,
    "method": "POST",
    "route": "/v1/jobs/{id}/cancel",
    "object": JOB,
    "status": 202,
    "request_id": "a48aa3d575d243609201128f8fcb961e",
}

ACCESS: Final[dict[str, list[dict[str, Any]]]] = {
    "KeyRequest": [{name: _MADE[name] for name in ("name", "owner", "scopes", "expires_at")}],
    "Key": [_USED],
    "MadeKey": [{**_MADE, "key": "winnow_2mX5s0cF3tQw8bR1nV7kYzL4hD6pJ9aEuG0iTrOxWqM"}],
    "Listed_Key_": [{"items": [_USED], "next": f"/v1/keys?cursor={CURSOR}"}],
    "Session": [{"owner": "team-vision", "scopes": ["read", "write"], "expires_at": "2026-11-30T20:00:00Z"}],
    "LinkRequest": [{"what": "artifact", "seconds": 86400}],
    "Link": [
        {
            "url": f"https://winnow.example.com/v1/links/{JOB}/artifact"
            "?expires=1796200000&signature=q1wnVv0xS8oZ2Yk6rT4uB7eM9aC3dF5gH1jK0lPiQsU",
            "expires_at": "2026-12-02T08:26:40Z",
        }
    ],
    "AuditEntry": [_AUDITED],
    "Listed_AuditEntry_": [{"items": [_AUDITED], "next": f"/v1/audit?cursor={CURSOR}"}],
}
"""Keys, sessions, links and audit."""
