"""Uploads that were made to run code, import a module, or reach a file: `.pt2` archives, each by a way of its own.

    content = ATTACKS[name](marker)

`marker` is a path that the attack would create if any of its code ran. Code and names that are planted hold
`CANARY`, and `MODULE` is what attacks import that only name a module; so whoever watches knows what to look for.
The same files are run through the reader alone (tests/worker/compression/convert/pt2) and through the child.
"""

from collections.abc import Callable
from pathlib import Path

from tests.support.attacks import containers, expressions, pickles, programs
from tests.support.attacks.pt2_files import CANARY, MODULE

ATTACKS: dict[str, Callable[[Path], bytes]] = {
    f"{module.__name__.rpartition('.')[2]}: {name}": attack
    for module in (expressions, programs, pickles, containers)
    for name, attack in module.ATTACKS.items()
}

__all__ = ["ATTACKS", "CANARY", "MODULE"]
