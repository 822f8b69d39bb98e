"""Who asks, once that is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from app.storage.records import LOCAL_OWNER
from winnow.contract.access import SCOPES, Scope
from winnow.contract.errors import Refusal


@dataclass(frozen=True)
class Caller:
    """Whose request it is, and what it may do. `key` and `session` are ids; by itself it ends at `expires_at`."""

    owner: str
    scopes: frozenset[str]
    key: str | None = None
    session: str | None = None
    expires_at: float | None = None

    def check_may(self, scope: Scope) -> None:
        """Raises `scope_missing`."""
        if scope not in self.scopes:
            has = ", ".join(in_order(self.scopes)) or "none"
            raise Refusal(
                "scope_missing",
                f"This needs the scope {scope}; the scopes that came with the request are: {has}. Use a key that has "
                "it, or ask an administrator for one.",
            )


ANYBODY: Final = Caller(LOCAL_OWNER, frozenset(SCOPES))
"""Where nobody is asked who they are."""


def in_order(scopes: Iterable[str]) -> tuple[Scope, ...]:
    """Those that there are, from the least on."""
    named = set(scopes)
    return tuple(scope for scope in SCOPES if scope in named)
