"""The command line, `winnow`. Results go to stdout, progress and sentences to stderr.

Exit codes: 0 all is well; 1 a problem (one sentence on stderr); 2 the command was written wrongly;
3 the job ran to its end but does not meet what was required; 130 Ctrl-C.
"""

import sys

from winnow.cli.exits import INTERRUPTED


def main() -> None:
    """The entry point `winnow`. What it needs is imported here, so that Ctrl-C meanwhile is no traceback."""
    try:
        from winnow.cli.commands import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()
