"""Which CPUs add products of bytes exactly, and what the user is told."""

import pytest

from winnow.contract.target import CpuFeature
from worker.compression.quantization.integer import hardware
from worker.compression.quantization.integer.hardware import multiplies_exactly, weight_range


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", {"avx2", "fma"}, False),
        ("x86_64", {"avx2", "avx512f", "avx512bw"}, False),
        ("x86_64", {"avx2", "avx512_vnni"}, True),
        ("x86_64", {"avx2", "avx_vnni"}, True),
        ("x86_64", {"avx2", "amx_int8"}, True),
        ("AMD64", set(), False),
        ("aarch64", {"asimd"}, True),
        ("aarch64", {"asimd", "asimddp", "i8mm"}, True),
    ],
)
def test_x86_needs_vnni(machine: str, flags: set[str], exact: bool) -> None:
    assert multiplies_exactly(machine, flags) is exact


@pytest.mark.parametrize(
    ("asked", "flags", "limit", "told"),
    [
        ("auto", {"avx512_vnni"}, 127, ""),
        ("auto", {"avx2"}, 64, "7 bits"),
        ("full", {"avx512_vnni"}, 127, ""),
        ("full", {"avx2"}, 127, "worse than"),
        ("reduced", {"avx512_vnni"}, 64, ""),
        ("reduced", {"avx2"}, 64, ""),
    ],
)
def test_auto_follows_the_cpu_and_a_wish_is_obeyed(
    asked: hardware.WeightRangeChoice, flags: set[str], limit: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    found = weight_range(asked)
    assert found.limit == limit
    assert told in " ".join(found.notes)
    assert bool(found.notes) == bool(told)


@pytest.mark.parametrize(("flags", "told"), [({"avx512_vnni"}, False), ({"avx2"}, True)])
def test_what_a_target_multiplies_exactly_may_be_cut_off_where_it_is_judged(
    flags: set[str], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    found = weight_range("auto", hardware.resolve_target("auto", "tensorrt")[1].exact)
    assert (found.limit, bool(found.notes)) == (127, told)


@pytest.mark.parametrize("limit", [hardware.REDUCED_LIMIT])
def test_two_products_of_the_reduced_range_fit_16_bits(limit: int) -> None:
    assert 2 * 255 * limit <= 2**15 - 1 < 2 * 255 * (limit + 1)


@pytest.mark.parametrize(
    ("features", "machine"),
    [
        (["avx2", "avx512f"], "cpu"),
        ([], "cpu"),
        (["avx2", "avx_vnni"], "cpu_vnni"),
        (["amx_int8"], "cpu_vnni"),
        (["asimd"], "arm"),
        (["asimddp", "i8mm"], "arm"),
    ],
)
def test_features_that_are_stated_decide_whatever_runs_here(
    features: list[CpuFeature], machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags in (frozenset({"avx512_vnni"}), frozenset({"avx2"})):
        monkeypatch.setattr(hardware, "cpu_flags", lambda flags=flags: flags)
        assert hardware.resolve_target("auto", None, features)[0] == machine
        assert hardware.resolve_target("cuda", None, features)[0] == "cuda", (
            "the step's own target comes first"
        )
