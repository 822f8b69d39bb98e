"""Requests out, checked answers in. Everything httpx can raise becomes one of ours."""

import ipaddress
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from winnow.client.errors import ClientError, ServiceProblem, ServiceUnreachable, UnexpectedAnswer
from winnow.contract.errors import Problem

T = TypeVar("T", bound=BaseModel)

PAUSES: Final = (0.2, 0.8)
"""Seconds before a second and a third try."""

TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
KEY: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Transport:
    """One service. `http` replaces the connection, for tests against an application in this process."""

    def __init__(self, url: str, http: httpx.Client | None = None, key: str | None = None) -> None:
        """Raises ClientError for what is no address or no key."""
        self.url = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
        self._http = http or _connection(self.url)
        if key:
            self._http.headers["Authorization"] = f"Bearer {_checked_key(key)}"

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, *, again: bool = True, **options: Any) -> httpx.Response:
        """An answer below 400. Lost connections are tried again when `again` says that twice does no harm.

        Raises ServiceProblem, UnexpectedAnswer, ServiceUnreachable.
        """
        for pause in (*PAUSES, None):
            try:
                return self._checked(self._http.request(method, path, **options))
            except httpx.TransportError as error:
                if pause is None or not (again or isinstance(error, NOT_SENT)):
                    raise self._unreachable(error) from error
                time.sleep(pause)
        raise AssertionError("the last round returns or raises")

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, follow_redirects=True, **options)

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[httpx.Response]:
        """A GET whose body is read by the caller; what breaks off in the middle is ServiceUnreachable."""
        try:
            with self._http.stream("GET", path, follow_redirects=True, **options) as response:
                if response.status_code >= 400:
                    response.read()
                yield self._checked(response)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._unreachable(error) from error

    def parsed(self, kind: type[T], response: httpx.Response) -> T:
        """The body as a contract object. Fields that a newer service adds are ignored."""
        try:
            return kind.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise UnexpectedAnswer(self.url, response.status_code, _glimpse(response)) from error

    def page(self, kind: type[T], path: str, params: dict[str, Any]) -> Iterator[T]:
        """All items of a list, following the link in `next` from page to page."""
        while True:
            response = self.get(path, params=params)
            try:
                body = response.json()
                items = [kind.model_validate(item, extra="ignore") for item in body["items"]]
                following = body["next"]
            except (ValueError, KeyError, TypeError) as error:
                raise UnexpectedAnswer(self.url, response.status_code, _glimpse(response)) from error
            yield from items
            if following is None:
                return
            params = parse_qs(urlsplit(following).query)

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.status_code < 400:
            return response
        try:
            problem = Problem.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise UnexpectedAnswer(self.url, response.status_code, _glimpse(response)) from error
        raise ServiceProblem(problem)

    def _unreachable(self, error: httpx.RequestError) -> ServiceUnreachable:
        cause = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        return ServiceUnreachable(self.url, cause, lost=not isinstance(error, NOT_SENT))


def _checked_key(key: str) -> str:
    """What it is never stands in an error: that ends in a log."""
    if not KEY.fullmatch(key.strip()):
        raise ClientError(
            "the key (WINNOW_KEY) has to be one word of letters, digits and ._~+/=-; copy it whole"
        )
    return key.strip()


def _connection(url: str) -> httpx.Client:
    try:
        address = httpx.URL(url)
        if address.scheme not in ("http", "https") or not address.host:
            raise httpx.InvalidURL("it has to begin with http:// or https:// and name a host")
        return httpx.Client(
            base_url=url,
            timeout=TIMEOUT,
            trust_env=not _is_loopback(address.host),
            verify=address.scheme == "https",  # reading all certificates takes a tenth of a second
        )
    except httpx.InvalidURL as error:
        raise ClientError(
            f"{url!r} is not an address: {error}; expected something like http://127.0.0.1:8000"
        ) from error


def _is_loopback(host: str) -> bool:
    """No proxy of the environment leads to this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _glimpse(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "no content type")
    return f"{kind}: {response.text[:60]!r}" if response.text else "an empty body"
