"""The exit codes."""

from typing import Final

OK: Final = 0
PROBLEM: Final = 1
USAGE: Final = 2
NOT_MET: Final = 3
"""The job ran to its end, but the result does not meet what was required."""
INTERRUPTED: Final = 130
