"""`show`, `pin` and `delete`: any model, dataset or job, told apart by its id."""

from typing import Annotated

import typer

from winnow.cli.facts import dataset_facts, job_facts, model_facts
from winnow.cli.naming import job_in_options
from winnow.cli.screen import out, print_result, say
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL

Id = Annotated[str, typer.Argument(metavar="ID", help="Of a model (mdl_…), dataset (dst_…) or job (job_…).")]
Ids = Annotated[
    list[str], typer.Argument(metavar="ID…", help="Of models (mdl_…), datasets (dst_…) and jobs (job_…).")
]


def show(id: Id, url: Url = LOCAL, as_json: Json = False) -> None:
    """Show a model, dataset or job as it stands.

    \b
    winnow show mdl_1
    """
    _check(id)
    with Client(url) as client:
        match id[:4]:
            case "mdl_":
                model = client.model(id)
                print_result(model.model_dump_json(indent=2)) if as_json else out().print(model_facts(model))
            case "dst_":
                dataset = client.dataset(id)
                print_result(dataset.model_dump_json(indent=2)) if as_json else out().print(
                    dataset_facts(dataset)
                )
            case _:
                job = client.job(id)
                print_result(job.model_dump_json(indent=2)) if as_json else out().print(
                    job_facts(job_in_options(job))
                )


def pin(
    ids: Ids,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Keep models, datasets and jobs however old they are, jobs with all that they need.

    \b
    winnow pin job_1
    winnow pin --off job_1
    """
    for id in ids:
        _check(id)
    with Client(url) as client:
        for id in ids:
            pinned = client.pin(id, not off)
            if as_json:
                print_result(pinned.model_dump_json(indent=2))
            else:
                say(f"{id} {'goes when it is too old' if off else 'is kept'}")


def delete(ids: Ids, url: Url = LOCAL, as_json: Json = False) -> None:
    """Delete models, datasets and jobs for good; what an unfinished job uses stays.

    \b
    winnow delete mdl_1 dst_1 job_1
    """
    for id in ids:
        _check(id)
    with Client(url) as client:
        for id in ids:
            match id[:4]:
                case "mdl_":
                    client.delete_model(id)
                case "dst_":
                    client.delete_dataset(id)
                case _:
                    client.delete_job(id)
            print_result(f'{{"deleted": "{id}"}}') if as_json else say(f"{id} is deleted")


def _check(id: str) -> None:
    if not id.startswith(("mdl_", "dst_", "job_")):
        raise typer.BadParameter(
            f"{id!r} is no id: those of models begin with mdl_, of datasets with dst_, of jobs with job_"
        )
