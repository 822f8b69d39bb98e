"""What a process may use, from control groups of both versions as a kernel writes them."""

from pathlib import Path

import pytest

from app import machine

GIB = 2**30


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of 16 cores and 64 GiB, without control groups and GPUs."""
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: type("Memory", (), {"total": 64 * GIB}))
    for name in ("CGROUPS", "OWN_GROUPS", "NVIDIA", "CPU_FACTS"):
        monkeypatch.setattr(machine, name, tmp_path / name)
    monkeypatch.delenv(machine.VISIBLE_GPUS, raising=False)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, 16, 64 * GIB),
        ({"OWN_GROUPS": "0::/\n", "CGROUPS/cpu.max": "max 100000\n"}, 16, 64 * GIB),
        ({"OWN_GROUPS": "0::/\n", "CGROUPS/cpu.max": "250000 100000\n"}, 3, 64 * GIB),
        (
            {
                "OWN_GROUPS": "0::/pod/box\n",
                "CGROUPS/pod/cpu.max": "400000 100000\n",
                "CGROUPS/pod/box/cpu.max": "800000 100000\n",
                "CGROUPS/pod/box/memory.max": "max\n",
                "CGROUPS/memory.max": f"{8 * GIB}\n",
            },
            4,
            8 * GIB,
        ),
        (
            {
                "OWN_GROUPS": "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n",
                "CGROUPS/cpu/box/cpu.cfs_quota_us": "200000\n",
                "CGROUPS/cpu/box/cpu.cfs_period_us": "100000\n",
                "CGROUPS/cpu/cpu.cfs_quota_us": "-1\n",
                "CGROUPS/cpu/cpu.cfs_period_us": "100000\n",
                "CGROUPS/memory/box/memory.limit_in_bytes": f"{2 * GIB}\n",
            },
            2,
            2 * GIB,
        ),
        ({"OWN_GROUPS": "0::/\n", "CGROUPS/cpu.max": "10000 100000\n"}, 1, 64 * GIB),
    ],
    ids=["none", "unlimited", "2.5 cores", "nested", "version 1", "a tenth of a core"],
)
def test_control_groups_bound_what_there_is(
    files: dict[str, str], cores: int, memory: int, tmp_path: Path
) -> None:
    write(tmp_path, files)
    assert (machine.usable_cores(), machine.usable_memory_bytes()) == (cores, memory)


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {3, 5})
    assert machine.usable_cores() == 2


@pytest.mark.parametrize(
    ("cores", "gib", "workers"),
    [(1, 64, 1), (2, 64, 2), (3, 64, 2), (8, 64, 4), (64, 512, 8), (16, 6, 1), (16, 13, 3), (2, 1, 1)],
)
def test_so_many_workers_as_cores_and_memory_are_for(
    cores: int, gib: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(machine, "usable_memory_bytes", lambda: gib * GIB)
    assert machine.sensible_workers() == workers


@pytest.mark.parametrize(
    ("visible", "seen", "device"),
    [
        (None, ["0", "1"], "NVIDIA H200, NVIDIA H200"),
        ("1", ["1"], "NVIDIA H200"),
        ("", [], "A processor"),
        ("-1", [], "A processor"),
        ("GPU-8932f937", ["GPU-8932f937"], "A processor"),
    ],
)
def test_gpus_are_those_that_cuda_may_see(
    visible: str | None, seen: list[str], device: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 17\n"
    write(tmp_path, {f"NVIDIA/0000:0{n}:00.0/information": facts for n in (1, 2)})
    write(tmp_path, {"CPU_FACTS": "processor\t: 0\nmodel name\t: A processor\n"})
    if visible is not None:
        monkeypatch.setenv(machine.VISIBLE_GPUS, visible)
    assert (machine.visible_gpus(), machine.device()) == (seen, device)
    assert machine.sensible_workers() == (len(seen) or 8)
