"""Models and datasets: sent, waited for, read, declared, deleted."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import httpx

from winnow.client.errors import DamagedTransfer, UploadRejected
from winnow.client.files import FileBody, OnProgress
from winnow.client.inquiring import fetch_answer
from winnow.client.packing import PackedBody, is_packed
from winnow.client.parts.part import Part, path_of
from winnow.client.plain import plain
from winnow.client.resuming import LARGE, MOST_IN_ADDRESS, send_in_parts
from winnow.client.watching import versions
from winnow.contract.dataset import Dataset
from winnow.contract.declaration import Declaration
from winnow.contract.graph_values import GraphValue
from winnow.contract.inquiry import Preview, Proposal
from winnow.contract.model import Model
from winnow.contract.student_request import StudentRequest

UPLOAD_TIMEOUT: Final = httpx.Timeout(600.0, connect=5.0)
U = TypeVar("U", Model, Dataset)

WAIT_SECONDS: Final = 10
"""For which the service may hold back the answer about an upload that is being inspected."""


class Uploads(Part):
    """What is uploaded."""

    def upload_model(
        self,
        path: str | Path,
        name: str | None = None,
        inputs: Sequence[str] = (),
        on_progress: OnProgress | None = None,
        *,
        wait: bool = True,
    ) -> Model:
        """Send the file and, unless told not to, wait until it is ready.

        `inputs` are for TorchScript: `image:float32[N,1,28,28]`. The same file again is the same model. Above 64 MiB a
        connection that is lost on the way is taken up again where it broke off, for as long as `patience` allows.
        Raises UnusableFile, DamagedTransfer, UploadRejected.
        """
        body = FileBody(Path(path), on_progress)
        params = {"name": name or _printable_name(path), "input": list(inputs)}
        response = self._sent_in_parts("models", params, body) or self._transport.request(
            "POST",
            "/v1/models",
            params=params,
            content=body,
            headers=body.headers,
            timeout=UPLOAD_TIMEOUT,
        )
        model = self._transport.parsed(Model, response)
        _check_arrived(body, model)
        return self.wait_model(model.id) if wait else model

    def upload_dataset(
        self,
        path: str | Path | Sequence[str | Path],
        declaration: Declaration | Mapping[str, Any] | None = None,
        name: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        wait: bool = True,
    ) -> Dataset:
        """Send a dataset and how to read it, a `Declaration` or the same as a dict. A folder, and several files, are
        packed into one archive on the way.

        Raises UnusableFile, DamagedTransfer, UploadRejected.
        """
        paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
        packed = is_packed(paths)
        body = PackedBody(paths, on_progress) if packed else FileBody(paths[0], on_progress)
        text = json.dumps(plain(declaration or {}))
        params = {"name": name or _printable_name(paths[0])}
        response = self._sent_in_parts("datasets", {**params, "declaration": text}, body)
        if response is None:
            with body.counted() as file:
                response = self._transport.request(
                    "POST",
                    "/v1/datasets",
                    params=params,
                    files={"declaration": (None, text, "application/json"), "file": ("data", file)},
                    timeout=UPLOAD_TIMEOUT,
                )
        dataset = self._transport.parsed(Dataset, response)
        _check_arrived(body, dataset)
        return self.wait_dataset(dataset.id) if wait else dataset

    def model(self, id: str) -> Model:
        return self._transport.parsed(Model, self._transport.get(path_of("models", id)))

    def make_student(
        self, parent: str, request: StudentRequest | Mapping[str, Any] | None = None, **fields: Any
    ) -> Model:
        """Make a smaller model of the same kind, once it is ready: `winnow.make_student("mdl_1", depth=0.5)`. Raises
        `ServiceProblem` for what is refused at once, `UploadRejected` for what then cannot be made."""
        path = path_of("models", parent, "students")
        response = self._transport.request("POST", path, json=plain(request or {}) | plain(fields))
        return self.wait_model(self._transport.parsed(Model, response).id)

    def values(self, id: str, name: str | None = None) -> Iterator[GraphValue]:
        """What the model's graph takes and computes, in its order: what `features` can name. `name`: a pattern."""
        params = {} if name is None else {"name": name}
        return self._transport.page(GraphValue, path_of("models", id, "values"), params)

    def dataset(self, id: str) -> Dataset:
        return self._transport.parsed(Dataset, self._transport.get(path_of("datasets", id)))

    def models(self) -> Iterator[Model]:
        return self._transport.page(Model, "/v1/models", {})

    def datasets(self) -> Iterator[Dataset]:
        return self._transport.page(Dataset, "/v1/datasets", {})

    def wait_model(self, id: str) -> Model:
        """The model once it is ready. Raises UploadRejected."""
        return self._ready(Model, path_of("models", id))

    def wait_dataset(self, id: str) -> Dataset:
        """The dataset once it is ready. Raises UploadRejected."""
        return self._ready(Dataset, path_of("datasets", id))

    def declare(self, id: str, declaration: Declaration | Mapping[str, Any]) -> Dataset:
        """Replace a dataset's declaration, before a job has used it. Raises UploadRejected."""
        body = {"declaration": plain(declaration)}
        self._transport.request("PATCH", path_of("datasets", id), json=body)
        return self.wait_dataset(id)

    def propose(self, model: str, dataset: str) -> Proposal:
        """How the dataset could be read for the model; it may have been rejected for its declaration."""
        body = {"model": model, "dataset": dataset}
        response = self._transport.request("POST", "/v1/datasets/propose", json=body)
        return fetch_answer(self._transport, response, Proposal, self._patience)

    def preview(self, dataset: str, model: str, rows: int = 4) -> Preview:
        """What the model would be fed with."""
        asked = {"model": model, "rows": rows}
        response = self._transport.get(path_of("datasets", dataset, "preview"), params=asked)
        return fetch_answer(self._transport, response, Preview, self._patience)

    def delete_model(self, id: str) -> None:
        self._transport.request("DELETE", path_of("models", id), again=False)

    def delete_dataset(self, id: str) -> None:
        self._transport.request("DELETE", path_of("datasets", id), again=False)

    def _sent_in_parts(
        self, kind: Literal["models", "datasets"], params: Mapping[str, Any], body: FileBody | PackedBody
    ) -> httpx.Response | None:
        """A large upload outlasts lost connections. None where it is to be sent in one piece."""
        if body.size <= LARGE or len(str(httpx.QueryParams(params))) > MOST_IN_ADDRESS:
            return None
        return send_in_parts(self._transport, kind, params, body, UPLOAD_TIMEOUT, self._patience)

    def _ready(self, kind: type[U], path: str) -> U:
        known = versions(
            self._transport,
            path,
            kind,
            until=lambda it: it.state != "inspecting",
            patience=self._patience,
            wait=WAIT_SECONDS,
        )
        *_, last = known
        if last.state == "rejected" and last.problem is not None:
            raise UploadRejected(last.id, last.problem)
        return last


def _printable_name(path: str | Path) -> str:
    """The file's, as a text that can be sent: a file's name is any bytes, the service's at most 200 characters."""
    return os.fsencode(Path(path).name).decode("utf-8", "replace")[:200]


def _check_arrived(body: FileBody | PackedBody, stored: Model | Dataset) -> None:
    if stored.sha256 != body.sha256:
        raise DamagedTransfer(f"{body.path} has SHA-256 {body.sha256}, the service received {stored.sha256}")
