"""How deep in the network each layer lies: the most layers that come one after the other before it."""

from typing import Any

from worker.compression.result.page.looking.pair import Pair


def depths(pair: Pair) -> dict[str, Any]:
    wanted, behind, levels = set(pair.layers), dict[str, int](), dict[str, int]()
    for node in pair.before.graph:
        fed = [behind[str(v.name)] for v in node.inputs if v is not None and str(v.name) in behind]
        depth = max(fed, default=0)
        if node.name in wanted:
            levels[str(node.name)] = depth
            depth += 1
        behind |= {str(value.name): depth for value in node.outputs}
    inside = [name for name in pair.layers if name not in levels]  # of subgraphs
    last = max(levels.values(), default=-1)
    return {"levels": levels | {name: last + 1 + n for n, name in enumerate(inside)}}
