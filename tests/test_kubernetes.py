"""The manifests fit the schemas of Kubernetes and KEDA, and do what docs/operations.md says. None is applied here."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from jsonschema import Draft202012Validator

from app.settings import Settings
from tests.support.integration import binary
from winnow.cli.commands import commands
from winnow.cli.variables import unknown_variables

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
OBJECTS: dict[str, dict[str, Any]] = {
    f"{made['kind']} {made['metadata']['name']}": made
    for file in FILES
    for made in yaml.safe_load_all(file.read_text())
}
DEPLOYMENTS = [name for name in OBJECTS if name.startswith("Deployment ")]
WORKERS = [name for name in DEPLOYMENTS if name != "Deployment winnow-api"]
SCALED = [name for name in OBJECTS if name.startswith("ScaledObject ")]
CORE = [name for name in OBJECTS if name not in SCALED]
VERSION = "1.34"
NAMESPACE = "winnow"
GIVE_BACK_SECONDS = 30
"""For what a worker does when its time to finish is over."""


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = OBJECTS[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    [only] = pod(name)["containers"]
    return dict(only)


def labels(name: str) -> dict[str, str]:
    found: dict[str, str] = OBJECTS[name]["spec"]["template"]["metadata"]["labels"]
    return found


def environment(name: str) -> dict[str, str]:
    config: dict[str, str] = OBJECTS["ConfigMap winnow"]["data"]
    assert container(name)["envFrom"] == [{"configMapRef": {"name": "winnow"}}]
    return config | {one["name"]: one["value"] for one in container(name).get("env", ())}


def selected(selector: dict[str, Any]) -> set[str]:
    """The deployments whose pods have these labels."""
    wanted = selector.get("matchLabels", {}).items()
    return {name for name in DEPLOYMENTS if wanted <= labels(name).items()}


@pytest.mark.parametrize("name", CORE)
def test_every_object_fits_the_schema_of_kubernetes(name: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], VERSION, strict=True)


def closed(schema: Any) -> Any:
    """The same schema, for which an unknown field is wrong: the server drops it in silence."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(inner) for key, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.parametrize("name", SCALED)
def test_every_scaled_object_fits_the_schema_of_keda(name: str) -> None:
    schema = closed(json.loads((ROOT / "tests" / "support" / "keda" / "scaledobject.json").read_text()))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(OBJECTS[name])] == []


def test_all_is_in_one_namespace_which_lets_nothing_run_as_root() -> None:
    namespaces = {
        made["metadata"].get("namespace") for name, made in OBJECTS.items() if "Namespace" not in name
    }
    assert namespaces == {NAMESPACE}
    told = OBJECTS[f"Namespace {NAMESPACE}"]["metadata"]["labels"]
    assert told == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert FILES[0].name == "00-namespace.yaml"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_pod_is_shut_in_as_the_containers_of_compose(name: str) -> None:
    assert pod(name)["automountServiceAccountToken"] is False
    assert pod(name)["enableServiceLinks"] is False
    assert pod(name)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"--uid {10001}" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_pod_says_what_it_takes_and_is_watched(name: str) -> None:
    resources = container(name)["resources"]
    for amounts in resources.values():
        assert {"memory", "ephemeral-storage"} <= set(amounts)
    assert "cpu" in resources["requests"]
    assert "livenessProbe" in container(name)
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == set(volumes)
    assert all("sizeLimit" in volumes[place]["emptyDir"] for place in ("data", "tmp"))


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_selects_its_own_pods_alone(name: str) -> None:
    assert selected(OBJECTS[name]["spec"]["selector"]) == {name}


def test_the_service_and_its_budget_select_the_api() -> None:
    api = {"Deployment winnow-api"}
    assert selected({"matchLabels": OBJECTS["Service winnow-api"]["spec"]["selector"]}) == api
    budget = OBJECTS["PodDisruptionBudget winnow-api"]["spec"]
    assert selected(budget["selector"]) == api
    assert budget["minAvailable"] < OBJECTS["Deployment winnow-api"]["spec"]["replicas"]


def test_a_new_version_of_the_api_takes_over_without_a_gap() -> None:
    assert OBJECTS["Deployment winnow-api"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    api = container("Deployment winnow-api")
    [sleep, seconds] = api["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(seconds) + GIVE_BACK_SECONDS < pod("Deployment winnow-api")["terminationGracePeriodSeconds"]
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {api[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")} == {"/livez"}
    assert api["ports"] == [{"name": "http", "containerPort": Settings.model_fields["port"].default}]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_has_the_time_that_its_settings_give_it(name: str) -> None:
    granted = float(environment(name)["WINNOW_GRACE_SECONDS"])
    assert granted + GIVE_BACK_SECONDS <= pod(name)["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_watched_as_its_image_says(name: str) -> None:
    [image] = re.findall(
        r'CMD (\["python", "-c", "import psutil.+\])$', (ROOT / "Dockerfile").read_text(), re.M
    )
    assert container(name)["livenessProbe"]["exec"]["command"] == json.loads(image)


def test_no_two_pods_that_measure_share_a_node() -> None:
    measuring = {name for name in WORKERS if "inspector" not in name}
    for name in measuring:
        [rule] = pod(name)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert rule["topologyKey"] == "kubernetes.io/hostname"
        assert selected(rule["labelSelector"]) == measuring
        assert container(name)["resources"]["requests"] == container(name)["resources"]["limits"]


def test_workers_on_gpus_ask_for_one_and_tolerate_what_keeps_others_away() -> None:
    name = "Deployment winnow-worker-cuda"
    assert container(name)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod(name)["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert pod(name)["nodeSelector"] == {"nvidia.com/gpu.present": "true"}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_secrets_come_as_files_and_no_pod_has_more_than_it_needs(name: str) -> None:
    [volume] = [volume for volume in pod(name)["volumes"] if "secret" in volume]
    [mount] = [mount for mount in container(name)["volumeMounts"] if mount["name"] == volume["name"]]
    assert mount["readOnly"] is True
    there = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
    named = {value for key, value in environment(name).items() if key.endswith("_FILE")}
    assert named == there
    assert (f"{mount['mountPath']}/admin_key" in there) == (name == "Deployment winnow-api")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_variable_is_one_that_something_reads(name: str) -> None:
    assert list(unknown_variables(environment(name))) == []


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_pod_runs_a_command_that_can_be_parsed(name: str) -> None:
    [program, command, *options] = container(name)["args"]
    assert program == "winnow"
    typer.main.get_command(commands).commands[command].make_context(command, options)  # type: ignore[attr-defined]


def policies() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, made["spec"]) for name, made in OBJECTS.items() if name.startswith("NetworkPolicy "))


def test_what_no_policy_allows_is_refused() -> None:
    refusing = OBJECTS["NetworkPolicy winnow-nothing"]["spec"]
    assert refusing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, spec in policies():
        assert selected(spec["podSelector"]), name


def test_only_the_api_is_reached_and_only_it_reaches_the_internet() -> None:
    for _, spec in policies():
        if "ingress" in spec:
            assert selected(spec["podSelector"]) == {"Deployment winnow-api"}
        for rule in spec.get("egress", ()):
            blocks = [place["ipBlock"] for place in rule["to"] if "ipBlock" in place]
            if any(block["cidr"] == "0.0.0.0/0" for block in blocks):
                assert selected(spec["podSelector"]) == {"Deployment winnow-api"}
                assert "169.254.0.0/16" in blocks[0]["except"]


@pytest.mark.parametrize("name", SCALED)
def test_workers_are_scaled_by_the_age_of_what_waits(name: str) -> None:
    spec = OBJECTS[name]["spec"]
    assert f"Deployment {spec['scaleTargetRef']['name']}" in WORKERS
    assert "replicas" not in OBJECTS[f"Deployment {spec['scaleTargetRef']['name']}"]["spec"]
    age, working = (trigger["metadata"] for trigger in spec["triggers"])
    assert "winnow_queue_oldest_seconds" in age["query"]
    assert "winnow_workers" in working["query"]
    assert all(isinstance(metadata["threshold"], str) for metadata in (age, working))


@pytest.mark.integration
def test_prometheus_understands_the_queries(tmp_path: Path) -> None:
    queries = [
        trigger["metadata"]["query"] for name in SCALED for trigger in OBJECTS[name]["spec"]["triggers"]
    ]
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(queries)]
    series = [
        ("winnow_queue_oldest_seconds", 'queue="cuda"', 240),
        ("winnow_queue_oldest_seconds", 'queue="cpu"', 0),
        ("winnow_workers", 'queue="cuda"', 3),
        ("winnow_workers", 'queue="cpu"', 1),
        ("winnow_jobs", 'kind="job", state="running", outcome="none"', 2),
    ]
    expected = [0, 1, 240, 2]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "winnow", "rules": rules}]}))
    asked = {
        "interval": "1m",
        "input_series": [
            {"series": f'{metric}{{{told}, instance="{api}"}}', "values": f"{value}x5"}
            for metric, told, value in series
            for api in "ab"
        ],
        "promql_expr_test": [
            {"expr": f"sum({query})", "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": value}]}
            for query, value in zip(queries, expected, strict=True)
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [asked]}))
    run = subprocess.run(
        [binary("promtool"), "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
