"""The Python that the documents show runs as it stands there."""

import asyncio
import os
import re
import subprocess
import sys

from local.places import PROJECT
from tests.postgres.rows import add_call, add_message, add_user
from tests.postgres.server import Connection


async def test_reading_as_shown(pg: Connection, database_url: str) -> None:
    call_id = await add_call(pg, await add_user(pg, "ann"), "active")
    await pg.execute("update voice_calls set session_id = 'room-1'")
    await add_message(pg, call_id)
    text = (PROJECT / "docs/tables.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert output.decode().splitlines() == ["active None 0", "user words None", "1"]
