"""SQL of databases as teams have them before they come to ours."""

from pathlib import Path

from tests.postgres.server import psql


def apply_seed(url: str, *names: str) -> None:
    """Run these files of this directory against a database, in order."""
    for name in names:
        psql(url, "-f", str(Path(__file__).with_name(f"{name}.sql")))
