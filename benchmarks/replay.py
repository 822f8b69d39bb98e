"""`make bench-replay`: the bundle of each example, replayed by `winnow replay` on a service of its own.

    examples  what `examples/` does
    recipes   one recipe of each family on the same network: trainings, cuts, searches, and choices by time

Asked: the same `graph_sha256` on the same machine. `python -m benchmarks.replay examples` runs one part.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from app.embedded import running
from app.settings import Settings
from benchmarks.table import Row, measure
from examples.demo import DECLARATION, int8_request, make_files
from winnow.client import Client

NO_WAITING: Final[dict[str, Any]] = {"quiet_wait_seconds": 0.0}
"""Graphs are compared, not times: nothing waits for a quiet machine."""
TRAINING: Final = {"epochs": 2}
FEW: Final = {"objective": "size", "budget": {"trials": 4}}
RECIPES: Final[Mapping[str, dict[str, Any]]] = {
    "auto, by time": {"recipe": {"auto": {}}, "search": {**FEW, "objective": "latency"}},
    "auto, by size": {"recipe": {"auto": {}}, "search": FEW},
    "int8, by time": {"recipe": {"steps": [{"kind": "int8"}]}},
    "weight_only": {"recipe": {"steps": [{"kind": "weight_only"}]}},
    "int8_dynamic": {"recipe": {"steps": [{"kind": "int8_dynamic"}]}},
    "float16": {"recipe": {"steps": [{"kind": "float16"}]}},
    "sparsity": {"recipe": {"steps": [{"kind": "sparsity"}]}},
    "low_rank": {"recipe": {"steps": [{"kind": "low_rank"}]}},
    "palette": {"recipe": {"steps": [{"kind": "palette"}]}},
    "channel_pruning, finetune": {
        "recipe": {"steps": [{"kind": "channel_pruning"}, {"kind": "finetune", **TRAINING}]}
    },
    "distillation, int8_static": {
        "recipe": {"steps": [{"kind": "distillation", **TRAINING}, {"kind": "int8_static"}]}
    },
    "mixed_precision": {"recipe": {"steps": [{"kind": "mixed_precision", "max_size_ratio": 0.3}]}},
    "mixed_precision, by time": {"recipe": {"steps": [{"kind": "mixed_precision", "min_speedup": 1.2}]}},
    "channel_pruning, by time": {
        "recipe": {"steps": [{"kind": "channel_pruning", "target": "latency", "amount": 0.3, "rounds": 2}]}
    },
    "student, by time": {"recipe": {"steps": [{"kind": "student", "target": "latency", "amount": 0.3}]}},
    "int8_static, exclude auto": {"recipe": {"steps": [{"kind": "int8_static", "exclude": "auto"}]}},
    "preset fast": {"recipe": {"preset": "fast"}},
}
"""Name → what the request has besides model and data."""


def examples(folder: Path) -> Iterator[Row]:
    model, data = make_files(folder)
    with running(settings(folder)) as url, Client(url) as client:
        uploads = client.upload_model(model), client.upload_dataset(data, DECLARATION)
        yield replayed("examples", "demo", client, int8_request(*uploads).model_dump(mode="json"), folder)


def recipes(folder: Path) -> Iterator[Row]:
    model, data = make_files(folder)
    with running(settings(folder)) as url, Client(url) as client:
        named = {
            "model": client.upload_model(model).id,
            "data": {"dataset": client.upload_dataset(data, DECLARATION).id},
            "evaluation": {"metric": "top1"},
            "benchmark": {"rounds": 9},
        }
        for name, asked in RECIPES.items():
            yield replayed("recipes", name, client, named | asked, folder)


def replayed(part: str, name: str, client: Client, request: dict[str, Any], folder: Path) -> Row:
    """Do the job, replay its bundle by the command, and compare the graphs."""
    job = client.wait(client.submit(request).id)
    bundle = client.download_bundle(job.id, folder / "bundle.zip")
    begun = time.monotonic()
    command = [sys.executable, "-c", "from winnow.cli import main; main()", "replay", str(bundle)]
    files = [str(folder / "digits.onnx"), "--data", str(folder / "digits.npz"), "--json"]
    environment = os.environ | {f"WINNOW_{name.upper()}": str(value) for name, value in NO_WAITING.items()}
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False, env=environment)
    if done.returncode not in (0, 3):
        return Row(
            part, name, f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1]}", "same graph"
        )
    told = json.loads(done.stdout)
    graph = "same graph" if told["same_graph"] else "ANOTHER GRAPH"
    metrics = [each for each in told["measures"] if each["agrees"] is not None]
    figures = ", ".join(f"{each['name']} {each['then']:.4f}, again {each['now']:.4f}" for each in metrics)
    measured = f"{graph} {told['graph_sha256']['now'][:12]}; {figures}; exit code {done.returncode}"
    return Row(part, name, f"{measured}; {time.monotonic() - begun:.0f} s", "same graph")


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "var", host="127.0.0.1", port=0, log_level="ERROR", **NO_WAITING)


if __name__ == "__main__":
    measure(
        "Bundles that are replayed",
        ("part", "what", "measured", "asked"),
        {"examples": examples, "recipes": recipes},
    )
