"""The images, the compose file and the CI script say what docs/operations.md promises.

No engine runs here: hadolint and the compose schema check the form, the rest the promises.
"""

import re
import stat
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
from tests.support.compose import FILE, rendered, variables
from tests.support.pages import DOCS, rows, sections

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
BASE = rendered()
SERVICES: dict[str, Any] = BASE["services"]
GPU_WORKERS = [name for name in SERVICES if name.startswith("worker-gpu")]
PARSERS = [name for name in SERVICES if name.startswith(("worker", "inspector"))]
OURS = ["api", *PARSERS]
PROFILES = {"postgres", "s3", "gpu", "gpu1", "ops"}


def stages() -> dict[str, str]:
    """Dockerfile stage name → its text."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def extras(stage: str) -> list[str]:
    [names] = re.findall(r"(?:ARG EXTRAS=|'\.\[)([\w,]+)", stage)
    return str(names).split(",")


def documented_variables() -> dict[str, list[str]]:
    text = sections(DOCS / "operations.md")["Containers"]
    return rows(text[text.index("| variable |") :].partition("\n\n")[0])


def modules(top: str) -> Iterator[Path]:
    """What git would have: no folder `build` that an install has left."""
    return (file for file in (ROOT / top).rglob("*.py") if "build" not in file.relative_to(ROOT).parts)


def test_hadolint_has_no_complaint() -> None:
    run = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_compose_file_fits_the_compose_specification(tmp_path: Path) -> None:
    """As it stands, and with its variables replaced."""
    (tmp_path / "rendered.yml").write_text(yaml.safe_dump(BASE))
    check = [
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        FILE,
        tmp_path / "rendered.yml",
    ]
    run = subprocess.run(check, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_only_the_worker_image_installs_the_worker_extra() -> None:
    text = stages()
    assert "worker" not in extras(text["build-app"])
    assert "worker" in extras(text["build-worker"])
    assert '".[${EXTRAS}]"' in text["build-worker"]
    assert "--from=build-app" in text["app"]
    assert "--from=build-worker" in text["worker"]


def test_every_extra_that_an_image_is_made_with_exists() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = stages()
    made = [SERVICES[name]["build"]["args"]["EXTRAS"].split(",") for name in PARSERS]
    for names in (extras(text["build-app"]), extras(text["build-worker"]), *made):
        assert set(names) <= set(known)


def test_a_worker_has_one_build_of_onnx_runtime() -> None:
    """Both are the same module."""
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    runtimes = {
        name: [needed for needed in optional[name] if needed.startswith("onnxruntime")]
        for name in ("compression", "worker", "cuda")
    }
    assert [len(found) for found in runtimes.values()] == [0, 1, 1]
    assert runtimes["cuda"][0].startswith("onnxruntime-gpu")
    assert optional["worker"][0] == optional["cuda"][0] == "winnow-service[compression]"


def test_constraints_for_cuda_stand_beside_the_others_and_contradict_none() -> None:
    def pinned(name: str) -> set[str]:
        return {line.partition("==")[0].lower() for line in (ROOT / name).read_text().split()}

    assert "onnxruntime-gpu" in pinned("constraints-cuda.txt")
    assert not pinned("constraints.txt") & pinned("constraints-cuda.txt")


def test_the_worker_image_is_for_the_cpu_unless_its_arguments_say_cuda() -> None:
    assert "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu\n" in stages()["build-worker"]
    for name in PARSERS:
        arguments = SERVICES[name]["build"]["args"]
        on_gpu = name in GPU_WORKERS
        assert ("cuda" in arguments["EXTRAS"], "TORCH_INDEX" in arguments) == (on_gpu, on_gpu)
        assert arguments.get("CONSTRAINTS") == ("constraints-cuda.txt" if on_gpu else None)


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


def test_compose_starts_four_services_and_more_by_profile() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert {name for name, of in profiles.items() if of is None} == {"api", "worker", "inspector", "redis"}
    assert {profile for of in profiles.values() for profile in of or ()} == PROFILES
    assert SERVICES["worker"]["command"][-1] == "cpu"
    assert SERVICES["inspector"]["command"][-1] == "inspect"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_limited_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "privileged" not in service
    assert (
        "HEALTHCHECK" in stages()[service["build"]["target"]]
        if "build" in service
        else service["healthcheck"]
    )


@pytest.mark.parametrize("name", SERVICES)
def test_every_log_rotates(name: str) -> None:
    logging = SERVICES[name]["logging"]
    assert logging["driver"] == "json-file"
    assert set(logging["options"]) == {"max-size", "max-file"}
    assert all(isinstance(value, str) for value in logging["options"].values())


def test_every_variable_is_documented_with_its_default() -> None:
    documented = {name: cells[0] for name, cells in documented_variables().items()}
    defaults = variables()
    assert set(documented) == set(defaults)
    for name, default in defaults.items():
        assert documented[name].strip("`") == default if default else documented[name].startswith("none"), (
            name
        )


def test_what_may_differ_from_host_to_host_is_a_variable() -> None:
    text = FILE.read_text()
    for line in re.findall(r"^ +(?:image|mem_limit|ports|file): (.+)$", text, flags=re.MULTILINE):
        assert "${" in line
    chosen = rendered(**{name: f"chosen-{name}" for name in variables()})
    for service in chosen["services"].values():
        assert str(service["image"]).startswith("chosen-")
        assert str(service["mem_limit"]).startswith("chosen-")


def test_secrets_are_files_that_only_those_get_who_need_them() -> None:
    services = rendered(DATABASE_URL_FILE="./url", AWS_CREDENTIALS_FILE="./aws")["services"]
    for name, service in services.items():
        given = set(service.get("secrets", ()))
        environment = service.get("environment", {})
        named = {value for key, value in environment.items() if key.endswith("_FILE")}
        told = {f"/run/secrets/{secret}" for secret in given}
        assert named <= told, name
        assert told - named <= {"/run/secrets/s3_keys"}, name
        assert not [key for key in environment if key.endswith(("PASSWORD", "SECRET", "TOKEN", "_KEY"))], name
    assert {name for name in services if "admin_key" in services[name].get("secrets", ())} == {"api"}


def test_a_secret_that_is_not_named_is_no_setting() -> None:
    for name in OURS:
        assert not SERVICES[name]["environment"]["WINNOW_DATABASE_URL_FILE"]
        assert not SERVICES[name]["environment"]["AWS_SHARED_CREDENTIALS_FILE"]
    assert BASE["secrets"]["database_url"]["file"] == "/dev/null"


def test_secrets_are_made_at_random_once_and_fit_each_other(tmp_path: Path) -> None:
    def made(folder: str) -> dict[str, str]:
        subprocess.run([ROOT / "deploy" / "make-secrets", tmp_path / folder], check=True)
        return {file.name: file.read_text().strip() for file in (tmp_path / folder).iterdir()}

    first = made("secrets")
    assert {file["file"] for file in BASE["secrets"].values()} - {"/dev/null"} <= {
        f"./secrets/{n}" for n in first
    }
    assert first == made("secrets")
    assert not set(first.values()) & set(made("others").values())
    assert f":{first['postgres_password']}@postgres/" in first["database_url"]
    name, secret = first["s3_keys"].split(",")
    assert name in first["aws_credentials"]
    assert secret in first["aws_credentials"]
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "secrets" / "admin_key").stat().st_mode) == 0o444


def test_only_the_api_and_what_watches_it_are_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert set(published) == {"api", "prometheus", "grafana", "flower"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_flower_watches_the_broker_of_the_workers() -> None:
    broker = SERVICES["worker"]["environment"]["WINNOW_BROKER_URL"]
    assert f"--broker={broker}" in SERVICES["flower"]["command"]


def test_grafana_finds_the_dashboards_and_prometheus_where_compose_has_them() -> None:
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "winnow.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((folder / "dashboards" / "winnow.yml").read_text())["providers"]
    assert f"./deploy/grafana:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


@pytest.mark.parametrize("name", [*PARSERS, "redis", "postgres", "s3"])
def test_what_parses_uploads_has_no_way_to_the_internet(name: str) -> None:
    assert SERVICES[name]["networks"] == ["inside"]
    assert BASE["networks"]["inside"] == {"internal": "true"}


def test_redis_keeps_what_waits() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert any(volume.endswith(":/data") for volume in SERVICES["redis"]["volumes"])


@pytest.mark.parametrize("name", PARSERS)
def test_workers_share_records_blobs_and_the_lock_on_measuring(name: str) -> None:
    api, service = SERVICES["api"], SERVICES[name]
    assert service["volumes"] == api["volumes"]
    assert service["environment"]["WINNOW_BROKER_URL"] == api["environment"]["WINNOW_BROKER_URL"]
    assert service["environment"]["WINNOW_MEASURE_LOCK"] == api["environment"]["WINNOW_MEASURE_LOCK"]
    assert service["environment"]["WINNOW_MEASURE_LOCK"].startswith(api["volumes"][0].split(":")[1])


def test_a_worker_is_not_killed_before_its_time_to_finish_is_over() -> None:
    for name in PARSERS:
        granted = float(SERVICES[name]["environment"]["WINNOW_GRACE_SECONDS"])
        assert granted + 10 <= float(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_each_gpu_has_one_worker_and_the_cpu_worker_stands_back() -> None:
    def devices(service: dict[str, Any]) -> list[str]:
        [device] = service["deploy"]["resources"]["reservations"]["devices"]
        return device["device_ids"]

    assert [devices(SERVICES[name]) for name in GPU_WORKERS] == [["0"], ["1"]]
    assert rendered(CPU_WORKERS="0")["services"]["worker"]["scale"] == "0"
    assert [SERVICES[name]["scale"] for name in ("worker", "inspector", *GPU_WORKERS)] == ["1", 1, 1, 1]


@pytest.mark.parametrize("name", GPU_WORKERS)
def test_a_gpu_worker_differs_from_the_cpu_worker_only_in_its_image_and_device(name: str) -> None:
    own = {"build", "image", "deploy", "profiles", "command", "scale"}
    assert SERVICES[name]["command"] == [*SERVICES["worker"]["command"][:-1], "cpu,cuda"]
    base = {key: value for key, value in SERVICES["worker"].items() if key not in own}
    assert {key: value for key, value in SERVICES[name].items() if key not in own} == base


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
    assert "admin_key" in SERVICES["api"]["secrets"]
    assert environment["WINNOW_ADMIN_KEY_FILE"] == "/run/secrets/admin_key"
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
