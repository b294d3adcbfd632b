"""Number 42 in its short form: a minute of calls, jobs, workers and Postgres killed at random."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from local.places import PROJECT

LIMIT_S = 420.0


@pytest.mark.room
@pytest.mark.slow_fault
async def test_42_random_kills_for_a_minute(tmp_path: Path) -> None:
    """Every row that was recorded and every turn that was answered is there once."""
    out = tmp_path / "soak.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.soak", "--minutes", "1", "--callers", "3"),
        *("--ledger", str(tmp_path / "ledger.jsonl"), "--out", str(out)),
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, said.decode()
    told = json.loads(out.read_text())
    assert told["turns answered"] > 0
    assert told["events recorded"] > told["turns answered"]
    assert (told["lost"], told["doubled"], told["refused"], told["wrong ends"]) == (0, 0, 0, 0)
