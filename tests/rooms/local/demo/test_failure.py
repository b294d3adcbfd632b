"""A demo that fails says in words what failed, and keeps the logs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN_SPEECH = """
import sys
if "local.ai" in sys.orig_argv:
    import av
    def refuse(*args, **options):
        raise TypeError("open() has no such argument")
    av.open = refuse
"""


@pytest.mark.room
def test_its_last_lines_name_the_error_of_each_part_and_the_logs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN_SPEECH)
    done = subprocess.run(
        [sys.executable, "-m", "local", "demo"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    *_, last = lines = done.stderr.splitlines()
    logs = Path(last.removeprefix("whole logs: "))
    try:
        assert done.returncode == 1
        assert len(lines) <= 10
        assert re.fullmatch(
            r"python -m local: room \S+ closed .* waiting for the agent.*", lines[0]
        )
        models = lines[lines.index("the local models:") + 1]
        assert models.endswith("/v1/audio/speech failed: TypeError: open() has no such argument")
        assert any(line.startswith("  error") for line in lines[lines.index("the worker:") :])
        assert '"level"' not in done.stderr
        assert {"worker.log", "ai.log"} <= {path.name for path in logs.iterdir()}
    finally:
        shutil.rmtree(logs, ignore_errors=True)
