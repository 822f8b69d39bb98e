"""The import rules of docs/architecture.md hold, and are the ones written in pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
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
    commands, entry, server, pages, faces, admission, stores, base, hosts = layers("app")
    assert commands == {"commands"}
    assert entry >= {"main", "embedded"}
    assert server == {"server"}
    assert pages == {"pages"}
    assert faces == {"api"}
    assert admission == {"access", "admission", "webhooks"}
    assert stores >= {"queue", "storage"}
    assert base == {"settings"}
    assert hosts == {"hosts", "keepalive", "machine", "networks", "retention", "setting_sources"}


def test_the_command_line_stands_on_the_client_and_the_client_on_the_contract() -> None:
    assert layers("winnow") == [{"cli"}, {"agents"}, {"client"}, {"contract"}]


def test_families_of_techniques_do_not_know_each_other() -> None:
    [families] = [
        contract["layers"] for contract in CONTRACTS if contract.get("containers") == ["worker.compression"]
    ]
    assert "channel_pruning | depth_pruning | low_rank | simplify | vocabulary_pruning" in families
    assert "quantization | half_precision | sparsity | training" in families
    assert not any("ignore_imports" in contract for contract in CONTRACTS)


def test_no_folder_of_the_library_is_crowded_and_no_module_long() -> None:
    """At most 12 modules side by side, the one table of the engine's operators apart, and 250 lines."""
    library = ROOT / "worker" / "compression"
    modules = list(library.rglob("*.py"))
    folders = Counter(path.parent for path in modules if path.name != "__init__.py")
    assert {folder for folder, count in folders.items() if count > 12} == {library / "engine" / "operators"}
    assert [path for path in modules if len(path.read_text().splitlines()) > 250] == []


def test_celery_is_on_top_of_the_worker_and_the_library_at_its_bottom() -> None:
    order = layers("worker")
    assert order[0] == {"celery_app"}
    assert order[-1] == {"compression"}


@pytest.mark.parametrize(
    ("source", "forbidden"),
    [
        ("app", {"worker", "torch", "onnx", "onnx_ir", "onnxruntime", "numpy"}),
        ("winnow", {"app", "worker", "fastapi", "celery", "sqlalchemy", "torch"}),
        ("worker", {"app.main", "app.commands", "app.api", "winnow.cli", "winnow.client"}),
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
