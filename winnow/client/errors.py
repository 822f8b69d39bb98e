"""What can go wrong between a client and the service, each with a sentence for a person.

ClientError
├── ServiceUnreachable     nobody answers at this address, or no longer
├── ServiceProblem         the service says no: carries its Problem (`code`, `detail`, `field`)
│   ├── UploadRejected     what was uploaded did not pass inspection
│   └── JobFailed          the job ended without a result
├── UnexpectedAnswer       something answered that is no Winnow service, or one of another version
├── UnusableFile           a file of this machine cannot be read or written
└── DamagedTransfer        the bytes that arrived are not the bytes that were sent
"""

from winnow.contract.errors import MAX_ERRORS, Problem
from winnow.contract.job import Job


class ClientError(Exception):
    """The root. `str()` of it can be shown to a person as it is."""


class ServiceUnreachable(ClientError):
    """No answer: refused, lost (then `lost` is true: the service may have got the request), or too late."""

    def __init__(self, url: str, cause: str, *, lost: bool) -> None:
        self.url, self.lost = url, lost
        super().__init__(
            f"the connection to {url} was lost ({cause}); is the service still running?"
            if lost
            else f"no Winnow service answers at {url} ({cause}); start one with `winnow serve`"
        )


class ServiceProblem(ClientError):
    """An RFC 9457 problem, as the service told it; of what failed there, the request's name in its log."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(_in_words(problem))

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status


def _in_words(problem: Problem) -> str:
    """One sentence for one fault; a line for each of several."""
    asked = f", request {problem.request_id}" if problem.status >= 500 and problem.request_id else ""
    if len(problem.errors) < 2:
        where = f" (field: {problem.field})" if problem.field else ""
        return f"{problem.detail}{where} [{problem.code}{asked}]"
    lines = [
        f"  {error.path}: {error.detail}" if error.path else f"  {error.detail}" for error in problem.errors
    ]
    more = ["  These are the first; there may be more."] if len(lines) == MAX_ERRORS else []
    return "\n".join([f"{problem.title} [{problem.code}{asked}]:", *lines, *more])


class UploadRejected(ServiceProblem):
    """Inspection rejected the upload `id`, and says why."""

    def __init__(self, id: str, problem: Problem) -> None:
        self.id = id
        super().__init__(problem)


class JobFailed(ServiceProblem):
    """The `job` failed; its problem says why."""

    def __init__(self, job: Job) -> None:
        assert job.problem is not None
        self.job = job
        super().__init__(job.problem)

    def __str__(self) -> str:
        return f"{self.job.id} failed: {super().__str__()}"


class UnexpectedAnswer(ClientError):
    """`status` is the HTTP status of what was answered."""

    def __init__(self, url: str, status: int, content: str) -> None:
        self.status = status
        super().__init__(
            f"{url} answered HTTP {status} with {content}; is this a Winnow service of this version?"
        )


class UnusableFile(ClientError):
    """Missing, empty, a folder, not permitted, no room, or changed while it was read."""


class DamagedTransfer(ClientError):
    """The SHA-256 on this side is not the one the service names."""
