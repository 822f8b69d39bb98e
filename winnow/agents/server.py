"""The MCP server: the tools, over stdin and stdout."""

from importlib.metadata import version
from pathlib import Path
from typing import Final

from mcp.server.mcpserver import MCPServer

from winnow.agents.tools import Tools

INSTRUCTIONS: Final = """Winnow makes models smaller and faster, and measures what that costs. The way through it:
upload_model; upload_dataset, then propose_declaration and declare where its reading is unsure; dry_run; compress (auto
with seconds is a good first try); wait until it has ended; report; download. Say what is required in `require`: a
result that misses it has the outcome requirements_not_met, and the report says why and what to try next."""
READING: Final = ("propose_declaration", "step_settings", "dry_run", "status", "wait", "report")
"""Tools that change nothing."""
CHANGING: Final = ("upload_model", "upload_dataset", "declare", "compress", "cancel", "download")


def make_server(url: str | None, folder: Path) -> MCPServer:
    """All tools, for the service at `url` (WINNOW_URL where that is None), with files of this folder alone."""
    from mcp.types import ToolAnnotations

    server = MCPServer(
        "winnow", instructions=INSTRUCTIONS, version=version("winnow-client"), log_level="WARNING"
    )
    tools = Tools(url, folder)
    for name in (*READING, *CHANGING):
        server.tool(annotations=ToolAnnotations(read_only_hint=name in READING))(getattr(tools, name))
    return server
