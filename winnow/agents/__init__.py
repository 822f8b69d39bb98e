"""Winnow for programs that speak the Model Context Protocol: docs/agents.md."""
