"""The files for Prometheus and Grafana ask for what the service tells, and promtool has no complaint."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import router
from tests.support.served import served

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "winnow.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "winnow.json").read_text())
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all samples that there can be, also of what the stores have none of now."""
    with served(tmp_path_factory.mktemp("exported")) as api:
        api.http.get("/livez")
        text = api.http.get("/metrics").text
    names = set[str]()
    for family in text_string_to_metric_families(text):
        names |= {sample.name for sample in family.samples}
        names |= {family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))}
    return names


@pytest.fixture(scope="module")
def promtool() -> str:
    """Debian's package `prometheus` brings it."""
    if (found := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


def rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_every_metric_that_is_asked_for_is_one_that_the_service_tells(exported: set[str]) -> None:
    asked = {name for text in expressions() for name in re.findall(r"\b(?:winnow|process)_\w+", text)}
    assert len(asked) > 15
    assert asked <= exported


def test_every_metric_of_ours_is_documented(exported: set[str]) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    documented = set(re.findall(r"^\| `(winnow_\w+)", text, re.MULTILINE))
    bare = {re.sub(r"_(total|bucket|count|sum|gcount|gsum|created)$", "", name) for name in exported}
    known = {re.sub(r"_(total|bucket)$", "", name) for name in documented}
    assert {name for name in bare if name.startswith("winnow_")} == known


def test_alerts_have_names_of_their_own_and_say_what_is_the_matter() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert len(rule["annotations"]["summary"]) > 30  # type: ignore[index]
        assert rule["labels"]["severity"] in ("page", "ticket")  # type: ignore[index]


def test_panels_do_not_overlap_and_are_told_apart_by_their_ids() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_prometheus_is_sent_where_the_metrics_are() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert {route.path for route in router.routes} == {job.get("metrics_path", "/metrics")}  # type: ignore[attr-defined]
    assert config["rule_files"] == [RULES.name]


@pytest.mark.parametrize(
    "check",
    [
        ["check", "rules", "winnow.rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "winnow.rules.test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_has_no_complaint(promtool: str, check: list[str]) -> None:
    run = subprocess.run([promtool, *check], cwd=RULES.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_promtool_finds_nothing_wrong_with_the_metrics(promtool: str, tmp_path: Path) -> None:
    with served(tmp_path) as api:
        api.http.get("/livez")
        text = api.http.get("/metrics").text
    run = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_what_the_dashboard_asks_can_be_parsed(promtool: str, tmp_path: Path) -> None:
    """As rules: Grafana's own variable is the only word that Prometheus does not know."""
    records = [
        {"record": f"dashboard:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(expressions())
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    run = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
