"""Jobs: asked for, followed, cancelled, tried again."""

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from winnow.client.errors import JobFailed, ServiceUnreachable
from winnow.client.events import server_events
from winnow.client.parts.part import Part, path_of
from winnow.client.plain import plain
from winnow.client.transport import TIMEOUT
from winnow.client.watching import QUICK, patiently, versions
from winnow.contract.dry_run import DryRun
from winnow.contract.job import FINISHED, Job, JobRequest, JobState, LogRecord

log = logging.getLogger(__name__)


class Jobs(Part):
    """What is asked for."""

    def submit(
        self,
        request: JobRequest | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """The job, queued: a `JobRequest`, or the same as a dict, or its fields by name, each a model or a dict:

            winnow.submit(model="mdl_1", recipe={"steps": [{"kind": "int8_dynamic"}]})

        The key makes sure that a try repeated after a lost answer is the same job.
        """
        response = self._transport.request(
            "POST",
            "/v1/jobs",
            content=json.dumps(plain(request or {}) | plain(fields)),
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": idempotency_key or str(uuid.uuid4()),
            },
        )
        return self._transport.parsed(Job, response)

    def dry_run(self, request: JobRequest | Mapping[str, Any] | None = None, **fields: Any) -> DryRun:
        """What the job would come to, and what it would be refused for; takes what `submit` takes. Makes nothing."""
        response = self._transport.request(
            "POST", "/v1/jobs", params={"dry_run": "true"}, json=plain(request or {}) | plain(fields)
        )
        return self._transport.parsed(DryRun, response)

    def job(self, id: str) -> Job:
        return self._transport.parsed(Job, self._transport.get(path_of("jobs", id)))

    def jobs(
        self,
        *,
        state: JobState | None = None,
        model: str | None = None,
        tags: dict[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Job]:
        """Newest first; every filter narrows."""
        asked: dict[str, Any] = {
            "state": state,
            "model": model,
            "tag": [f"{key}={value}" for key, value in (tags or {}).items()],
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
        }
        params = {name: value for name, value in asked.items() if value}
        return self._transport.page(Job, "/v1/jobs", params)

    def watch(self, id: str) -> Iterator[Job]:
        """The job now and after every change, to its end. Outlasts a restart of the service."""
        return self._watched(id, None)

    def wait(self, id: str, timeout: float | None = None) -> Job:
        """The job once it has succeeded or was cancelled.

        Raises JobFailed, which has the job's problem, and TimeoutError when it has not ended after `timeout` seconds;
        the job goes on then.
        """
        *_, last = self._watched(id, timeout)
        if last.state == "failed" and last.problem is not None:
            raise JobFailed(last)
        return last

    def events(self, id: str, after: int | None = None) -> Iterator[LogRecord]:
        """What happens to the job, as it happens, to its end; `after` is the last event id already seen.

        A stream that breaks off is taken up again where it was, for as long as `patience` allows.
        """
        job = self.job(id)
        while True:
            try:
                for record in self._stream_events(id, after):
                    after = record.id
                    yield record
                if job.state in FINISHED:
                    return
            except ServiceUnreachable as error:
                log.info("events of %s broke off: %s", id, error)
            time.sleep(QUICK)
            job = patiently(lambda: self.job(id), self._patience)

    def logs(self, id: str) -> Iterator[LogRecord]:
        return self._transport.page(LogRecord, path_of("jobs", id, "logs"), {})

    def cancel(self, id: str) -> Job:
        return self._transport.parsed(Job, self._transport.request("POST", path_of("jobs", id, "cancel")))

    def retry(self, id: str) -> Job:
        return self._transport.parsed(
            Job, self._transport.request("POST", path_of("jobs", id, "retry"), again=False)
        )

    def delete_job(self, id: str) -> None:
        self._transport.request("DELETE", path_of("jobs", id), again=False)

    def _watched(self, id: str, timeout: float | None) -> Iterator[Job]:
        return versions(
            self._transport,
            path_of("jobs", id),
            Job,
            until=lambda job: job.state in FINISHED,
            patience=self._patience,
            timeout=timeout,
        )

    def _stream_events(self, id: str, after: int | None) -> Iterator[LogRecord]:
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": str(after)})
        with self._transport.stream(
            path_of("jobs", id, "events"), headers=headers, timeout=TIMEOUT
        ) as response:
            for event in server_events(response.iter_bytes()):
                yield LogRecord.model_validate_json(event.data, extra="ignore")
