"""SQL of the demo: one statement a file."""

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """Return the statement of local/sql/<name>.sql."""
    return files("local.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
