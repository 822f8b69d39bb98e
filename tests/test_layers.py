"""The import rules of docs/architecture.md hold, and are the ones written in pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_every_import_contract_is_kept() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in run.stdout


def layers(container: str) -> list[set[str]]:
    [contract] = [
        found for found in CONTRACTS if found["type"] == "layers" and found["containers"] == [container]
    ]
    assert contract["exhaustive"], "a new module must be given its place"
    return [set(re.split(r" [:|] ", layer)) for layer in contract["layers"]]


def test_the_layers_of_app_are_in_the_order_of_the_design() -> None:
    entry, server, faces, stores, _, base, hosts = layers("app")
    assert entry >= {"main", "cli"}
    assert server == {"server"}
    assert faces == {"api", "client"}
    assert stores >= {"queue", "storage"}
    assert base == {"settings", "contract"}
    assert hosts == {"hosts"}


def test_celery_is_on_top_of_the_worker_and_the_library_at_its_bottom() -> None:
    order = layers("worker")
    assert order[0] == {"celery_app"}
    assert order[-1] == {"compression"}


@pytest.mark.parametrize(
    ("source", "forbidden"),
    [
        ("app", {"worker", "torch", "onnx", "onnx_ir", "onnxruntime", "numpy"}),
        ("worker", {"app.main", "winnow.cli", "app.api", "winnow.client"}),
        ("worker.compression", {"app.queue", "app.storage", "app.settings"}),
        ("worker.compression", {"celery", "fastapi", "redis", "sqlalchemy"}),
        ("winnow.contract", {"fastapi", "sqlalchemy", "celery"}),
    ],
)
def test_what_must_not_be_imported_is_forbidden(source: str, forbidden: set[str]) -> None:
    named = {
        module
        for contract in CONTRACTS
        if contract["type"] == "forbidden" and source in contract["source_modules"]
        for module in contract["forbidden_modules"]
    }
    assert forbidden <= named


def test_a_broken_contract_would_be_found(tmp_path: Path) -> None:
    """The linter itself is at work: the same rule, turned against an import that exists, is reported."""
    config = tmp_path / "importlinter.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["app", "winnow"]\ninclude_external_packages = true\n'
        '[[tool.importlinter.contracts]]\nname = "wrong on purpose"\ntype = "forbidden"\n'
        'source_modules = ["app.storage"]\nforbidden_modules = ["winnow.contract", "app.settings", "sqlalchemy"]\n'
    )
    lint = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([lint, "--no-cache", "--config", config], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "wrong on purpose BROKEN" in run.stdout
