"""The operator's commands, as a user runs them."""

import asyncio
import os
import subprocess
import sys

from local.places import PROJECT


async def run(url: str | None, *arguments: str) -> tuple[int, str, str]:
    """Run `python -m db` and return its exit code, output and errors."""
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    if url is not None:
        environment["DATABASE_URL"] = url
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "db", *arguments),
        env=environment,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()
