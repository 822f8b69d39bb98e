"""Variables of the environment that look like ours and are not."""

from collections.abc import Iterator, Mapping
from typing import Final

from app.settings import Settings
from winnow.contract.nearest import did_you_mean

PREFIX: Final = "WINNOW_"
OTHERS: Final = ("WINNOW_URL", "WINNOW_PARENT_PID")
"""What is read beside the settings: where the service is, and whose worker this is."""
FOREIGN: Final = tuple(PREFIX + start for start in ("TEST_", "FUZZ_", "REQUIRE_", "GENERATED"))
"""Those of the tests."""


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that begins like ours and that nothing reads."""
    known = [*(PREFIX + name.upper() for name in Settings.model_fields), *OTHERS]
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not name.startswith(FOREIGN):
            yield f"{name} is no variable of Winnow and has no effect.{did_you_mean(name, known)}"
