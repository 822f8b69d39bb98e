"""`make bench-targets`: what the rules of each target say of a file, against what really loads it.

    python -m benchmarks.targets [--shared] [NAME …]

The files are those of `benchmarks.simplify`: all of ../shared, and 68 that torch exported. OpenVINO and ONNX Runtime on
the CPU load and run each one; of the other targets the verdict by rules stands there, with sizes that vary taken as
fixed: how many nodes are taken of all, or that the file is refused. What those are held against is cited beside each
model of `tests/winnow/contract/target_rules/test_known_models.py`.
"""

import sys
import tempfile
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import shared_or_exit
from benchmarks.simplify.files import File, of_exporters, of_shared
from winnow.contract.target import CHECKED, CheckedTarget, Target
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.graph import CheckedGraph
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.onnx_file import graph_of_bytes
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.runtime.targets import is_installed

MEASURED: Final[tuple[Target, ...]] = ("onnxruntime-cpu", "openvino-cpu")


def main() -> None:
    shared_or_exit()
    names = tuple(name for name in sys.argv[1:] if name != "--shared")
    targets = [target for target in MEASURED if is_installed(target)]
    table = Table("model", *(f"{t}: rules / loaded" for t in targets), *CHECKED)
    outcomes: Counter[tuple[str, bool, bool]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        files = chain(of_shared(Path(folder)), () if "--shared" in sys.argv else of_exporters(Path(folder)))
        for file in (each for each in files if not names or each.name.startswith(names)):
            graph = graph_of_bytes(file.path.read_bytes())
            cells = []
            for target in targets:
                says, why = check_graph(graph, rules_of(target)).runs, _why_not(file, target)
                outcomes[target, says, not why] += 1
                cells.append(f"{_word(says)} / {_word(not why)}" + (f": {why}" if why else ""))
            row = [file.name, *cells, *(_by_rules(graph, target) for target in CHECKED)]
            table.add_row(*row)
            print(" | ".join(row), flush=True)
    Console(width=200).print(table)
    for target in targets:
        agree = sum(
            count for (name, says, loads), count in outcomes.items() if name == target and says == loads
        )
        print(
            f"{target}: the rules agree on {agree} of {sum(c for k, c in outcomes.items() if k[0] == target)}"
        )


def _word(runs: bool) -> str:
    return "yes" if runs else "no"


def _why_not(file: File, target: Target) -> str:
    """Load it and run it once on random numbers; empty where it does."""
    try:
        network = Network(file.path, 1, file.name, target=target)
        feed, _ = benchmark_feed(network.inputs, 1, file.benchmark.shapes, None, 0)
        network.run(feed)
    except Exception as error:  # the runtimes' errors have no common base
        return " ".join(str(error).split())[:160]
    return ""


def _by_rules(graph: CheckedGraph, target: CheckedTarget) -> str:
    open_sizes = {name for value in graph.open_inputs for name in (value.name, *value.dimensions)}
    check = check_graph(graph, rules_of(target), open_sizes)
    if not check.runs and check.refused:
        return f"refused: {', '.join(list(check.by_operator)[:3]) or check.findings[0].rule}"
    return f"{check.taken} of {check.nodes}"


if __name__ == "__main__":
    main()
