"""What a RecordingServer says when it cannot start."""

import json
import os
import subprocess
import sys
from pathlib import Path

from local.places import PROJECT
from tests.rooms.adoption.conftest import IN_THE_WORKER, put_starter
from tests.unit.agent.processes import LIVEKIT


def test_a_missing_setting_is_one_line_and_code_2(tmp_path: Path) -> None:
    put_starter(tmp_path, IN_THE_WORKER)
    apart = ("AGENT_", "DATABASE_URL")
    env = {key: os.environ[key] for key in os.environ if not key.startswith(apart)}
    done = subprocess.run(
        [sys.executable, "agent.py", "start"],
        cwd=tmp_path,
        env=env | LIVEKIT | {"PYTHONPATH": str(PROJECT), "PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() + done.stderr.splitlines()]
    (line,) = (each for each in lines if each["level"] == "ERROR")
    assert line["message"] == "worker not started"
    assert line["error"].startswith("DATABASE_URL is missing")
    assert not [each for each in lines if "exc_info" in each]
