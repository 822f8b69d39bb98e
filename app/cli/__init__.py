"""The command line, `winnow`. Results go to stdout, progress and sentences to stderr.

Exit codes: 0 all is well; 1 a problem (one sentence on stderr); 2 the command was written wrongly;
3 the job ran to its end but does not meet what was required; 130 Ctrl-C.
"""

from app.cli.commands import main

__all__ = ["main"]
