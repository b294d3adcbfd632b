"""A worker that could record nothing takes no calls."""

from pathlib import Path

from tests.unit.agent.processes import AWAY, agent


async def test_32_the_outbox_directory_is_not_writable(tmp_path: Path) -> None:
    """One line says so, and the exit code is 2; /proc takes no directory, of root neither."""
    ended = await agent("start", cwd=tmp_path, AGENT_OUTBOX_DIR="/proc/outbox", **AWAY)
    assert ended.code == 2
    assert "AGENT_OUTBOX_DIR=/proc/outbox" in ended.err
    assert len(ended.err.splitlines()) == 1
