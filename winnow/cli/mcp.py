"""`mcp`: the service as tools of an agent."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.shared import Url
from winnow.client import ClientError
from winnow.client.client import LOCAL


def mcp(
    folder: Annotated[
        Path,
        typer.Option(
            help="The only folder that files are read from and written to.", file_okay=False, exists=True
        ),
    ] = Path(),
    url: Url = LOCAL,
) -> None:
    """Serve the Model Context Protocol on stdin and stdout, for an agent: upload, propose, dry-run, compress and
    search, wait, report, download. See docs/agents.md.

    \b
    winnow mcp --folder models/
    """
    if find_spec("mcp") is None:
        raise ClientError("`winnow mcp` needs the MCP SDK: pip install './winnow[mcp]'")
    from winnow.agents.server import make_server

    make_server(url, folder).run("stdio")
