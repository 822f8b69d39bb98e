"""Joules for one run: what the counters say, over their end and start, or why there are none."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.digits import digits
from worker.compression.measure.energy import Counter, joules_for_a_run, measure_energy, rapl
from worker.compression.measure.network import Network

FEED = {"image": np.zeros((1, 1, 8, 8), np.float32)}


def zone(root: Path, number: str, name: str, energy: int, most: int = 1000) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", most)):
        (folder / file).write_text(f"{text}\n")
    return folder / "energy_uj"


def test_packages_are_added_up_and_a_counter_may_begin_again(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "0", "package-0", 900), zone(tmp_path, "1", "package-1", 10)
    zone(tmp_path, "0:0", "core", 500)
    counter = rapl(tmp_path)
    start = counter.read()
    first.write_text("100\n")
    second.write_text("60\n")
    assert start == [900, 10]
    assert counter.joules(start, counter.read()) == pytest.approx((200 + 50) / 1e6)


def test_a_run_takes_its_share_of_what_was_counted(tmp_path: Path) -> None:
    """A counter that is moved by every run, by two joules."""
    network, runs = Network(digits(tmp_path).model, 1, "it"), 0
    once = network.run_all

    def counted(feed: object) -> object:
        nonlocal runs
        runs += 1
        return once(feed)

    network.run_all = counted  # type: ignore[assignment]
    counter = Counter("rapl", lambda: [runs], lambda start, end: 2.0 * (end[0] - start[0]))
    assert joules_for_a_run(counter, network, FEED, 0.01) == pytest.approx(2.0)


@pytest.mark.parametrize("made", [False, True])
def test_where_nothing_can_be_read_there_is_a_reason(tmp_path: Path, made: bool) -> None:
    if made:
        zone(tmp_path / "root", "0", "package-0", 1).unlink()
    network = Network(digits(tmp_path).model, 1, "it")
    energy = measure_energy((network, network), FEED, tmp_path / "root")
    assert (energy.joules, energy.source) == (None, None)
    assert energy.why is not None
    assert energy.why.startswith("No energy counter of the CPU can be read")
