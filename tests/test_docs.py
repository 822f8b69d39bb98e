"""The documents say what the code does: techniques, settings, problem codes, commands, links."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic_core import PydanticUndefined

from app.settings import Settings
from tests.support.compose import rendered
from tests.support.pages import DOCS, rows, sections
from winnow.cli.commands import commands
from winnow.contract.errors import CODES
from winnow.contract.recipe import AnyStep, Step

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
KINDS: dict[str, type[Step]] = {
    get_args(step.model_fields["kind"].annotation)[0]: step for step in get_args(get_args(AnyStep)[0])
}
OUTSIDE_SETTINGS = {
    "WINNOW_KEY",  # the command line and the client
    "WINNOW_CONFIG",  # where further settings stand
    "WINNOW_PARENT_PID",  # from `winnow serve` to its workers
    "WINNOW_REQUIRE_INTEGRATION",  # the tests
    "WINNOW_URL",  # the command line
}
"""Read by what knows no `Settings`."""


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --- techniques


def test_every_kind_of_the_union_has_one_section_and_there_are_no_others() -> None:
    assert set(sections(DOCS / "techniques.md")) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_of_a_technique_are_documented_with_their_defaults(kind: str) -> None:
    documented = rows(sections(DOCS / "techniques.md")[kind])
    fields = {name: field for name, field in KINDS[kind].model_fields.items() if name != "kind"}
    assert set(documented) == set(fields)
    for name, field in fields.items():
        default: Any = field.get_default(call_default_factory=True)
        assert default is not PydanticUndefined
        shown = default if isinstance(default, str) else json.dumps(default)
        assert documented[name][0] == f"`{shown}`", name


@pytest.mark.parametrize("kind", KINDS)
def test_a_technique_says_what_it_needs_when_it_is_right_and_what_it_costs(kind: str) -> None:
    text = sections(DOCS / "techniques.md")[kind]
    assert "*Right*" in text
    assert "*Costs*" in text
    for need in KINDS[kind].needs:
        assert re.search(rf"\*Needs\* .*`data\.{need}`", text), need
    if not KINDS[kind].needs:
        assert "*Needs* no data" in text


# --- settings


def in_the_code(*folders: str) -> set[str]:
    texts = [file.read_text() for top in folders for file in (ROOT / top).rglob("*.py")]
    return set(re.findall(r"\bWINNOW_[A-Z_]*[A-Z]\b", "\n".join(texts)))


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    prefix = Settings.model_config["env_prefix"]
    settings = {prefix + name.upper() for name in Settings.model_fields}
    documented = rows(sections(DOCS / "operations.md")["Settings"])
    assert set(documented) == settings


def test_no_document_and_no_code_names_a_variable_that_nothing_reads() -> None:
    settings = {"WINNOW_" + name.upper() + end for name in Settings.model_fields for end in ("", "_FILE")}
    known = settings | OUTSIDE_SETTINGS
    files = [*PAGES, *ROOT.glob("*.y*ml"), ROOT / "Dockerfile", ROOT / "Makefile", ROOT / ".ci" / "run"]
    named = {name for file in files for name in re.findall(r"\bWINNOW_[A-Z_]*[A-Z]\b", file.read_text())}
    assert named <= known
    assert in_the_code("app", "winnow", "worker") <= known
    assert in_the_code("app", "winnow", "worker", "tests/support") >= OUTSIDE_SETTINGS
    assert named >= OUTSIDE_SETTINGS


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_documented_default_of_a_setting_is_the_default(name: str) -> None:
    shown = rows(sections(DOCS / "operations.md")["Settings"])["WINNOW_" + name.upper()][0]
    default = Settings.model_fields[name].default
    if default is None:
        assert "`" not in shown
    elif shown.endswith(" GiB"):
        assert float(shown.removesuffix(" GiB")) * 2**30 == default
    elif isinstance(default, bool):
        assert shown == f"`{str(default).lower()}`"
    elif isinstance(default, float):
        assert float(shown.strip("`")) == default
    else:
        assert shown == f"`{default}`"


def test_every_setting_of_celery_has_its_reason() -> None:
    source = (ROOT / "app" / "queue.py").read_text()
    update = source[source.index("conf.update(") : source.index("return celery")]
    set_there = set(re.findall(r"^ +(\w+)=", update, flags=re.MULTILINE))
    text = sections(DOCS / "operations.md")["The queue and its settings"]
    explained = {
        name for row in re.findall(r"^\|(.*?)\|", text, re.MULTILINE) for name in re.findall("`(.*?)`", row)
    }
    assert set_there - {"broker_url", "broker_transport_options"} <= explained
    transport = set(re.findall(r'"(\w+)": ', source[source.index("def _transport_options") :]))
    places = {"data_folder_in", "data_folder_out", "control_folder", "processed_folder"}
    assert explained <= set_there | transport
    assert transport - places <= explained


# --- problems


def test_every_problem_code_is_documented_with_its_status_and_title() -> None:
    documented = {
        code: (int(cells[0]), cells[1]) for code, cells in rows((DOCS / "problems.md").read_text()).items()
    }
    assert documented == CODES


@pytest.mark.parametrize("code", CODES)
def test_every_problem_code_says_what_to_do(code: str) -> None:
    assert len(rows((DOCS / "problems.md").read_text())[code][2]) > 20


# --- commands and links


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    folder = ROOT / "benchmarks"
    benchmarks = [*folder.glob("[a-z]*.py"), *(main.parent for main in folder.glob("*/__main__.py"))]
    return targets | {"bench-" + benchmark.stem for benchmark in benchmarks}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_are_named_exist(page: Path) -> None:
    code = re.findall(r"`([^`]+)`", page.read_text()) + re.findall(
        r"^(?:    |\$ )(.+)$", page.read_text(), re.MULTILINE
    )
    named = {target for text in code for target in re.findall(r"\bmake ([a-z][a-z0-9_-]*[a-z0-9])", text)}
    assert named <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if fragment:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.MULTILINE)
            assert fragment in {anchor(heading) for heading in headings}, link


@pytest.mark.parametrize("heading", ["Where is it decided?", "Where do I add…"])
def test_files_and_folders_that_lead_a_newcomer_exist(heading: str) -> None:
    text = sections(DOCS / "architecture.md")[heading]
    named = set(re.findall(r"`([a-z_][\w/]*/(?:[\w/]+\.\w+)?)`", text))
    roots = (ROOT, ROOT / "worker" / "compression")
    assert len(named) > 10
    assert {path for path in named if not any((root / path).exists() for root in roots)} == set()


def test_every_decision_is_in_the_list_with_its_title() -> None:
    listed = dict(
        re.findall(
            r"^\| \[\d{4}\]\((.+?)\) \| (.+) \|$",
            (DOCS / "decisions" / "README.md").read_text(),
            re.MULTILINE,
        )
    )
    there = {file.name: file.read_text().splitlines()[0] for file in (DOCS / "decisions").glob("0*.md")}
    assert {name: f"# {name[:4]}: {title}" for name, title in listed.items()} == there


def documented_calls() -> list[list[str]]:
    """Every `winnow …` that a document shows as code."""
    text = "\n".join(page.read_text() for page in PAGES)
    blocks = "\n".join(re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    spans = re.findall(r"`(winnow [^`\n]+)`", text)
    lines = re.findall(r"^(?:\$ )?(winnow .+)$", blocks, re.MULTILINE) + re.findall(
        r"^    (winnow .+)$", text, re.MULTILINE
    )
    return [shlex.split(call.split(" # ")[0].split(" | ")[0]) for call in (*spans, *lines)]


def container_calls() -> list[list[str]]:
    compose = [
        service["command"]
        for service in rendered()["services"].values()
        if service.get("command", [""])[0] == "winnow"
    ]
    docker = [
        json.loads(cmd)
        for cmd in re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    ]
    return [*compose, *docker]


@pytest.mark.parametrize("call", documented_calls(), ids=" ".join)
def test_commands_that_are_named_exist_with_their_options(call: list[str]) -> None:
    command: Any = typer.main.get_command(commands)
    for word in call[1:]:
        command = command.commands[word] if hasattr(command, "commands") else command
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word.split("=")[0] for word in call[2:] if word.startswith("-")} <= known | {"--help"}


@pytest.mark.parametrize("call", container_calls(), ids=" ".join)
def test_the_commands_of_the_containers_can_be_parsed_as_they_are(call: list[str]) -> None:
    assert call[0] == "winnow"
    group = typer.main.get_command(commands)
    group.commands[call[1]].make_context(call[1], call[2:])  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_document_holds_a_placeholder(page: Path) -> None:
    assert not re.search(r"<!--|\bTODO\b|\bTBD\b|filled by", page.read_text())
