"""The files that `run` reads."""

from pathlib import Path

from winnow.cli.options import JobOptions
from winnow.client import UnusableFile
from winnow.client.files import check_readable
from winnow.contract.job import JobRequest
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models


def whole_files(options: JobOptions, request: JobRequest) -> list[Path]:
    """List the files of the one dataset; none where it has an id already."""
    named = options.data or ([] if request.data.dataset is None else [request.data.dataset])
    return [] if len(named) == 1 and named[0].startswith("dst_") else [Path(name) for name in named]


def check_files(model: Path, request: JobRequest, whole: list[Path]) -> None:
    """Check that all files can be read, before a service is started for them. Raises `UnusableFile`."""
    check_readable(model)
    for path in whole:
        if not path.is_dir():
            check_readable(path)
    for role, use in uses(request.data).items() if request.data.dataset is None else ():
        if not use.dataset.startswith("dst_") and not Path(use.dataset).exists():
            raise UnusableFile(
                f"--{role}: there is no file {use.dataset}, nor is that the id of a dataset (dst_…)"
            )
        if Path(use.dataset).exists():
            check_readable(Path(use.dataset))
    for given, field in named_models(request.recipe).items():
        if not given.startswith("mdl_") and not Path(given).is_file():
            name = field.rpartition(".")[2]
            raise UnusableFile(
                f"--step: there is no file {given} for {name}, nor is that the id of a model (mdl_…)"
            )


def files_read(model: Path, request: JobRequest) -> list[Path]:
    """List what a run reads, the model first."""
    return [
        model,
        *(Path(use.dataset) for use in uses(request.data).values() if request.data.dataset is None),
        *(Path(given) for given in named_models(request.recipe)),
    ]
