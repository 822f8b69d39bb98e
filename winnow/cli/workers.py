"""`workers`, `drain`, `undrain`: who works for the service, and having one take nothing new."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from winnow.cli.screen import Column, out, print_result, say, table
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL
from winnow.contract import units
from winnow.contract.worker import Worker

WorkerId = Annotated[str, typer.Argument(metavar="WORKER", help="The worker's id, wrk_…")]

COLUMNS: tuple[Column, ...] = (
    *(("id", "left"), ("host", "left"), ("able to", "left"), ("device", "left"), ("cores", "right")),
    *(("memory", "right"), ("does", "left"), ("seen", "left")),
)


def workers(url: Url = LOCAL, as_json: Json = False) -> None:
    """List the workers seen in the last ten minutes, and what they do; --json gives one object per line.

    \b
    winnow workers
    """
    with Client(url) as client:
        found = client.workers()
    if as_json:
        for worker in found:
            print_result(worker.model_dump_json())
    else:
        out().print(worker_list(found))


def drain(worker: WorkerId, url: Url = LOCAL, as_json: Json = False) -> None:
    """Have a worker take nothing new; it finishes what it does.

    \b
    winnow drain wrk_1
    """
    with Client(url) as client:
        _tell(client.drain(worker), as_json)


def undrain(worker: WorkerId, url: Url = LOCAL, as_json: Json = False) -> None:
    """Have a worker that was drained take work again.

    \b
    winnow undrain wrk_1
    """
    with Client(url) as client:
        _tell(client.undrain(worker), as_json)


def worker_list(workers: Iterable[Worker]) -> Table:
    rows = (
        (
            *(it.id, it.host, ", ".join(it.capabilities), it.device, it.cores, units.size(it.memory_bytes)),
            *(doing(it), f"{it.last_seen:%Y-%m-%d %H:%M:%S}"),
        )
        for it in workers
    )
    return table(None, COLUMNS, rows)


def doing(worker: Worker) -> str:
    """`job job_1`, `nothing`, `trial of another owner, draining`."""
    work = worker.doing
    what = "nothing" if work is None else f"{work.kind} {work.id or 'of another owner'}"
    return f"{what}, draining" if worker.draining else what


def _tell(worker: Worker, as_json: bool) -> None:
    if as_json:
        print_result(worker.model_dump_json(indent=2))
    else:
        say(f"{worker.id} on {worker.host}: {doing(worker)}")
