"""The schema applied as somebody does who has psql and nothing else."""

from pathlib import Path

from callrecord.schema.migrate import MIGRATIONS
from callrecord.schema.routines import ROUTINES
from tests.postgres.server import psql

FILES = sorted(MIGRATIONS.glob("*.sql"))
PSQL_ROUTINES = ROUTINES.with_suffix(".sql")
ALL = [*FILES, PSQL_ROUTINES]
UNINSTALL = ROUTINES.with_name("uninstall.sql")


def apply_with_psql(url: str, *flags: str, files: list[Path] = ALL) -> None:
    """Run the numbered files and then the routines, each with these flags."""
    for path in files:
        psql(url, *flags, "-f", str(path))
