"""What ships takes the names and the defaults of our own worker."""

from pathlib import Path

import pytest

from agent.settings import Settings
from callrecord.errors import Stop
from callrecord.shipping.heartbeat import Rhythm
from callrecord.shipping.settings import ShipSettings, outbox_dir

URL = "postgresql://worker:secret@host/name"


def test_defaults_are_those_of_our_worker() -> None:
    fields = Settings.model_fields
    settings = ShipSettings.of({"DATABASE_URL": URL, "AGENT_OUTBOX_DIR": ""})
    assert settings == ShipSettings(
        dsn=URL,
        outbox_dir=fields["agent_outbox_dir"].default,
        min_free_mb=fields["agent_outbox_min_free_mb"].default,
        ship_timeout_s=fields["agent_ship_timeout_s"].default,
        rhythm=Rhythm(
            every_s=fields["agent_heartbeat_s"].default,
            lost_after_s=fields["agent_worker_lost_s"].default,
            not_served_min=fields["agent_not_served_min"].default,
        ),
    )
    assert outbox_dir({}) == settings.outbox_dir
    assert "secret" not in repr(settings)


def test_the_environment_says_otherwise() -> None:
    said = {
        "DATABASE_URL": URL,
        "AGENT_OUTBOX_DIR": "/outbox",
        "AGENT_OUTBOX_MIN_FREE_MB": "7",
        "AGENT_SHIP_TIMEOUT_S": "0.5",
        "AGENT_HEARTBEAT_S": "1",
        "AGENT_WORKER_LOST_S": "6",
        "AGENT_NOT_SERVED_MIN": "0",
    }
    assert ShipSettings.of(said) == ShipSettings(URL, Path("/outbox"), 7, 0.5, Rhythm(1, 6, 0))


@pytest.mark.parametrize(("every", "limit"), [("5", "29"), ("0", "60"), ("20", "")])
def test_a_limit_that_few_heartbeats_fit_into_stops_with_one_line(every: str, limit: str) -> None:
    said = {"AGENT_HEARTBEAT_S": every, "AGENT_WORKER_LOST_S": limit, "DATABASE_URL": URL}
    with pytest.raises(
        Stop, match=r"^AGENT_WORKER_LOST_S: must be at least 6 times AGENT_HEARTBEAT_S"
    ):
        ShipSettings.of(said)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_a_number_that_does_not_do_stops_with_one_line(value: str) -> None:
    with pytest.raises(
        Stop, match=f"^AGENT_SHIP_TIMEOUT_S={value}: must be a number, zero or more$"
    ):
        ShipSettings.of({"DATABASE_URL": URL, "AGENT_SHIP_TIMEOUT_S": value})
