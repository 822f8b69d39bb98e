"""Measure load time and peak memory of one model in a process that has done nothing else.

    python -m worker.compression.measure.apart.fresh MODEL FEED.npz THREADS TARGET

prints {"load_ms", "peak_rss_bytes", "others", "waited"}: the lowest tenth of the times to make a session; the largest
`RssAnon` while the first session is made and run, minus its value after the imports (Linux, /proc); and what else ran
meanwhile (`disturbance`). FEED holds the inputs' `names`
and their arrays as `0`, `1`, … This process imports little but numpy and the runtime of the target, and dies with the
process that started it.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import cast

import numpy as np

from winnow.contract.target import Target
from worker.compression.measure.apart.parent import die_with_parent
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.runtime.targets import opener

STATUS = Path("/proc/self/status")
POLL_SECONDS = 0.0005
INFERENCES = 3
MAX_LOADS = 11
FAST_QUANTILE = 0.1
MIN_TOTAL_SECONDS = 1.0
"""More sessions are made until loading has taken this long together."""


class PeakMemory:
    """The largest anonymous memory seen while the `with` block runs, in bytes above what there was before."""

    def __enter__(self) -> "PeakMemory":
        self.bytes = 0
        self._before = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _poll(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, anonymous_bytes() - self._before)


def anonymous_bytes() -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def measure(
    model: Path, feed: dict[str, np.ndarray], threads: int, target: Target, most_loads: int = MAX_LOADS
) -> dict[str, float]:
    load = opener(target)
    watch = Watch(threads)
    with PeakMemory() as peak:
        start = time.perf_counter()
        network = load(model, threads)
        loads = [time.perf_counter() - start]
        for _ in range(INFERENCES):
            network.run(None, feed)
    del network
    while len(loads) < most_loads and sum(loads) < MIN_TOTAL_SECONDS:
        start = time.perf_counter()
        load(model, threads)
        loads.append(time.perf_counter() - start)
    seen = watch.seen()
    return {
        "load_ms": 1000 * float(np.quantile(loads, FAST_QUANTILE)),
        "peak_rss_bytes": peak.bytes,
        "others": seen.others,
        "waited": seen.waited,
    }


def feed_of(path: Path) -> dict[str, np.ndarray]:
    """Read the inputs by name, as `measure_fresh` wrote them."""
    with np.load(path, allow_pickle=False) as arrays:
        return {str(name): arrays[str(i)] for i, name in enumerate(arrays["names"])}


def main() -> None:
    die_with_parent()
    model, feed, threads, target = sys.argv[1:]
    print(json.dumps(measure(Path(model), feed_of(Path(feed)), int(threads), cast(Target, target))))


if __name__ == "__main__":
    main()
