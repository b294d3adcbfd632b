"""What docs/deploy.md says agrees with the settings and the image."""

import re

from agent.settings import Settings
from local.places import PROJECT

TEXT = (PROJECT / "docs" / "deploy.md").read_text()


def test_every_setting_named_is_one() -> None:
    names = set(re.findall(r"\bAGENT_\w+[A-Z]\b", TEXT))
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_patience_of_the_examples_is_longer_than_a_drain() -> None:
    fields = Settings.model_fields
    drain = fields["agent_drain_timeout_s"].default + fields["agent_ship_timeout_s"].default
    patience = [int(s) for s in re.findall(r"(?:stop_grace_period:|--stop-timeout) (\d+)", TEXT)]
    assert len(patience) == 2
    assert min(patience) >= drain + 60


def test_every_message_to_watch_for_is_in_the_code() -> None:
    code = "\n".join(
        path.read_text()
        for name in ("agent", "callrecord")
        for path in (PROJECT / name).rglob("*.py")
    )
    section = TEXT.partition("| message |")[2].partition("##")[0]
    messages = re.findall(r"^\| `([^`]+?)(?: \.\.\.)?`", section, re.MULTILINE)
    assert len(messages) == 11
    assert [each for each in messages if each not in code] == []
