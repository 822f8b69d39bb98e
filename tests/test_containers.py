"""The images, the compose files and the CI script say what docs/operations.md promises.

No engine runs here: hadolint and the compose schema check the form, the rest the promises.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.datastructures import Headers

from app.access.start import check_settings
from app.api.browsers import check_request
from app.settings import Settings

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
BASE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
GPU: dict[str, Any] = yaml.safe_load((ROOT / "compose.gpu.yaml").read_text())
SERVICES: dict[str, Any] = BASE["services"]
GPU_WORKERS = {name: service for name, service in GPU["services"].items() if name.startswith("worker-gpu")}
RUNNING = SERVICES | GPU_WORKERS
PARSERS = [name for name in RUNNING if name.startswith(("worker", "inspector"))]


def stages() -> dict[str, str]:
    """Dockerfile stage name → its text."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def modules(top: str) -> Iterator[Path]:
    """What git would have: no folder `build` that an install has left."""
    return (file for file in (ROOT / top).rglob("*.py") if "build" not in file.relative_to(ROOT).parts)


def test_hadolint_has_no_complaint() -> None:
    run = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", ["docker-compose.yml", "compose.gpu.yaml"])
def test_the_compose_files_fit_the_compose_specification(name: str) -> None:
    check = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / name]
    run = subprocess.run(check, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_only_the_worker_image_installs_the_worker_extra() -> None:
    text = stages()
    assert "worker," not in text["build-app"]
    assert "ARG EXTRAS=worker,postgres,s3\n" in text["build-worker"]
    assert '".[${EXTRAS}]"' in text["build-worker"]
    assert "--from=build-app" in text["app"]
    assert "--from=build-worker" in text["worker"]


@pytest.mark.parametrize("target", ["app", "worker"])
def test_every_target_is_healthchecked_and_runs_as_a_fixed_user_that_is_not_root(target: str) -> None:
    text = stages()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text["runtime"], flags=re.MULTILINE)
    assert "USER" not in text[target]
    assert "HEALTHCHECK" in text[target]
    assert "STOPSIGNAL" in text[target]


def test_dependencies_are_constrained_in_both_images() -> None:
    installs = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if "pip install" in line]
    assert len(installs) == 4
    assert all("--constraint constraints.txt" in line or "--no-deps" in line for line in installs)


def test_everything_the_build_copies_is_let_through_by_dockerignore() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in re.findall(
            r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE
        )
        for source in line.split()[:-1]
    }
    assert {source.partition("/")[0] for source in copied} == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_every_folder_of_modules_is_a_package_so_that_a_wheel_holds_it() -> None:
    folders = {file.parent for top in ("app", "winnow", "worker") for file in modules(top)}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_client_lists_its_packages_and_the_image_makes_their_folders_before_it_copies_them() -> None:
    listed = tomllib.loads((ROOT / "winnow" / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {file.parent.relative_to(ROOT) for file in modules("winnow")}
    assert {Path(*name.split(".")) for name in listed} == folders
    [made] = re.findall(r"^RUN mkdir -p (.+)$", stages()["dependencies"], flags=re.MULTILINE)
    paths = {Path(name) for name in made.split()}
    assert {path for folder in paths for path in (folder, *folder.parents)} >= folders


def test_both_distributions_are_of_one_version_and_installed_in_one_call() -> None:
    service, client = (
        tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"] for path in (".", "winnow")
    )
    assert service["version"] == client["version"]
    assert f"winnow-client=={client['version']}" in service["dependencies"]
    for file in ("Dockerfile", "Makefile"):
        calls = re.findall(r"pip install (.+)", (ROOT / file).read_text())
        assert calls
        assert all("./winnow" in call for call in calls), file


def test_compose_has_the_four_services_and_one_to_watch_them() -> None:
    assert set(SERVICES) == {"api", "worker", "inspector", "redis", "flower"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"flower"}
    assert SERVICES["flower"]["profiles"] == ["ops"]
    assert SERVICES["worker"]["command"][-1] == "cpu"
    assert SERVICES["inspector"]["command"][-1] == "inspect"


@pytest.mark.parametrize("name", RUNNING)
def test_every_service_is_hardened_limited_and_restarted(name: str) -> None:
    service = RUNNING[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "privileged" not in service


def test_only_the_api_and_who_watches_are_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in RUNNING.items() if service.get("ports")}
    assert set(published) == {"api", "flower"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_flower_watches_the_broker_of_the_workers() -> None:
    assert (
        f"--broker={SERVICES['worker']['environment']['WINNOW_BROKER_URL']}" in SERVICES["flower"]["command"]
    )


@pytest.mark.parametrize("name", [*PARSERS, "redis"])
def test_what_parses_uploads_has_no_way_to_the_internet(name: str) -> None:
    assert RUNNING[name]["networks"] == ["inside"]
    assert BASE["networks"]["inside"] == {"internal": True}


def test_redis_keeps_what_waits() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert any(volume.endswith(":/data") for volume in SERVICES["redis"]["volumes"])


@pytest.mark.parametrize("name", PARSERS)
def test_workers_share_records_blobs_and_the_lock_on_measuring(name: str) -> None:
    api, service = SERVICES["api"], RUNNING[name]
    assert service["volumes"] == api["volumes"]
    assert service["environment"]["WINNOW_BROKER_URL"] == api["environment"]["WINNOW_BROKER_URL"]
    assert service["environment"]["WINNOW_MEASURE_LOCK"] == api["environment"]["WINNOW_MEASURE_LOCK"]
    assert service["environment"]["WINNOW_MEASURE_LOCK"].startswith(api["volumes"][0].split(":")[1])


def test_each_gpu_has_one_worker_and_the_cpu_worker_stands_back() -> None:
    def devices(service: dict[str, Any]) -> list[str]:
        [device] = service["deploy"]["resources"]["reservations"]["devices"]
        return device["device_ids"]

    assert [devices(service) for service in GPU_WORKERS.values()] == [["0"], ["1"]]
    assert GPU["services"]["worker"]["profiles"] == ["cpu"]


@pytest.mark.parametrize("name", GPU_WORKERS)
def test_a_gpu_worker_differs_from_the_cpu_worker_only_in_its_image_and_device(name: str) -> None:
    own = {"build", "image", "deploy", "profiles", "command"}
    assert GPU_WORKERS[name]["command"] == [*SERVICES["worker"]["command"][:-1], "cpu,cuda"]
    base = {key: value for key, value in SERVICES["worker"].items() if key not in own}
    assert {key: value for key, value in GPU_WORKERS[name].items() if key not in own} == base


def test_the_api_answers_to_the_names_by_which_its_containers_are_asked() -> None:
    """The published port, the name in compose's network, and the image's health check."""
    environment = SERVICES["api"]["environment"]
    chosen = {name.removeprefix("WINNOW_").lower(): environment[name] for name in environment}
    hosts = Settings(host=chosen["host"], allowed_hosts=chosen["allowed_hosts"]).hosts
    probe = re.search(r"http://([^/]+)/readyz", stages()["app"])
    assert probe is not None
    for name in ("localhost:8000", "127.0.0.1:8000", "api:8000"):
        check_request("POST", "/v1/models", Headers({"host": name}), hosts)
    check_request("GET", "/readyz", Headers({"host": probe[1]}), hosts)
    check_request("GET", "/readyz", Headers({"host": probe[1]}), frozenset({"winnow.example.com"}))


def test_the_api_asks_for_keys_and_is_given_the_first() -> None:
    environment = SERVICES["api"]["environment"]
    [secret] = SERVICES["api"]["secrets"]
    assert environment["WINNOW_ADMIN_KEY_FILE"] == f"/run/secrets/{secret}"
    assert BASE["secrets"][secret]["file"].endswith("admin.key}")
    check_settings(Settings(host=environment["WINNOW_HOST"], auth=environment["WINNOW_AUTH"]))
    assert "WINNOW_HOST=0.0.0.0 WINNOW_AUTH=keys" in stages()["app"], "else it would not start"


def test_the_ci_script_parses_runs_both_parts_and_lets_nothing_be_skipped() -> None:
    script = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0
    lines = [line.strip() for line in script.read_text().splitlines()]
    steps = [
        "export WINNOW_REQUIRE_INTEGRATION=1",
        "make check || status=$?",
        "make test || status=$?",
        'exit "$status"',
    ]
    assert lines[-1] == steps[-1]
    assert [lines.index(step) for step in steps] == sorted(lines.index(step) for step in steps)


def test_the_app_brings_what_celery_needs_for_redis() -> None:
    """Found by running the app image: kombu's Redis transport also needs `packaging`, which its extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert any(requirement.startswith("celery[redis]") for requirement in project["dependencies"])
