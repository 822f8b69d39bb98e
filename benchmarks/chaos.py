"""`make bench-chaos`: the full matrix of what can be killed, embedded and on a real Redis, as one table."""

import shutil

from rich.console import Console
from rich.table import Table

from tests.support.chaos import CASES, Outcome, Transport, play

JOBS = 10
COLUMNS = (
    "case",
    "transport",
    "jobs",
    "succeeded",
    "failed",
    "cancelled",
    "retried",
    "lost",
    "twice",
    "stray",
    "seconds",
)


def main() -> None:
    outcomes = [play(case, transport, JOBS) for case in CASES for transport in _transports(case)]
    table = Table(title=f"{JOBS} jobs each; int8_static on a small network, lease 3 s")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("case", "transport") else "right")
    for outcome in outcomes:
        table.add_row(*(_cell(outcome, column) for column in COLUMNS))
    Console(width=120).print(table)
    _print_verdict(outcomes)


def _transports(case: str) -> list[Transport]:
    redis: list[Transport] = ["redis"] if shutil.which("redis-server") else []
    return redis if case == "kill Redis" else ["files", *redis]


def _cell(outcome: Outcome, column: str) -> str:
    value = getattr(outcome, column)
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _print_verdict(outcomes: list[Outcome]) -> None:
    if not shutil.which("redis-server"):
        print("redis-server is not installed: its half of the matrix is missing")
    cancelled = [seconds for outcome in outcomes for seconds in outcome.cancel_seconds]
    print(f"slowest cancel: {max(cancelled):.2f} s (asked: 2 s)")
    bad = [outcome for outcome in outcomes if outcome.lost or outcome.twice or outcome.stray]
    print("no job lost, none ended twice, no stray process" if not bad else f"NOT met: {bad}")


if __name__ == "__main__":
    main()
