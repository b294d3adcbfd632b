"""A database as the last of the forty numbered files left it, with rows in every table.

Made once, by those files, on Postgres 15; `version_99.sql.gz` is its dump.
"""

import gzip
import tempfile
from pathlib import Path

from tests.postgres.server import psql

NEW_TABLES = dict.fromkeys(("voice_worker.deleted_usage", "voice_worker.user_writes"), "0 None")
"""What came later, as `rows` shows it while it is empty."""

DUMP = Path(__file__).with_name("version_99.sql.gz")


def restore_version_99(url: str, *flags: str) -> None:
    """Restore the dump into an empty database; with `-v ON_ERROR_STOP=0` whatever is missing."""
    with tempfile.NamedTemporaryFile("wb", suffix=".sql") as file:
        file.write(gzip.decompress(DUMP.read_bytes()))
        file.flush()
        psql(url, *flags, "-f", file.name)
