"""What the service adds to `winnow`, by the entry points of the group `winnow.commands` in pyproject.toml."""
