"""The timeline of a call, and both drawings of it."""
# ruff: noqa: RUF001 - the signs of the drawing

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from callrecord.operator.rendering.plain import width_of
from callrecord.operator.rendering.svg import svg_lines
from callrecord.operator.rendering.timeline import timeline_lines
from callrecord.operator.timeline import STAGES, Timeline, timeline_of
from callrecord.postgres.store import Store
from callrecord.reading import Call, CallRecord, Leg, Message
from tests.postgres.applied import apply
from tests.postgres.callrecord.operator.command import run
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started

ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def row(kind: type[Any], **fields: Any) -> Any:
    """Return a row whose other columns are null."""
    return kind(**{name: fields.get(name) for name in kind.__slots__})


def turn(role: str, start: float, length: float, **fields: Any) -> Message:
    """Return a turn so many seconds after the beginning."""
    begun = ZERO + timedelta(seconds=start)
    told = {
        "id": uuid4(),
        "role": role,
        "content": "words",
        "timestamp": begun,
        "speech_started_at": begun,
        "speech_ended_at": begun + timedelta(seconds=length),
        "participant_identity": role,
        "interrupted": False,
        "model_used": "m",
    }
    made: Message = row(Message, **(told | fields))
    return made


def of(*messages: Message, ended_at: datetime | None = None) -> Timeline:
    """Return the timeline of a call of these turns."""
    call: Call = row(Call, connected_at=ZERO, created_at=ZERO, status="active", ended_at=ended_at)
    joined: Leg = row(Leg, joined_at=ZERO, participant_identity="user", participant_name="Ada")
    return timeline_of(CallRecord(call, [joined], list(messages), []))


TALK = (
    turn("user", 1, 2, transcription_delay_ms=300, end_of_turn_delay_ms=500),
    turn(
        "assistant", 4, 3, e2e_latency_ms=1000, llm_ttft_ms=200, first_sentence_ms=250,
        interrupted=True,
    ),
    turn(
        "system", 3.5, 0, content="weather({})",
        metadata={"kind": "tool_call", "name": "weather", "duration_ms": 250},
    ),
)  # fmt: skip


def test_who_spoke_when_and_who_waited() -> None:
    timeline = of(*TALK)
    assert timeline.lanes == ("Ada", "agent", "tools")
    assert [(span.kind, span.start, span.end) for span in timeline.spans] == [
        ("caller", 1, 3),
        ("tool", 3.5, 3.75),
        ("agent", 4, 7),
    ]
    (wait,) = timeline.waits
    assert (wait.start, wait.end) == (3, 4)
    assert [(each.name, round(each.start, 3), round(each.end, 3)) for each in wait.stages] == [
        ("transcript", 3, 3.3),
        ("decision", 3.3, 3.5),
        ("first token", 3.75, 3.95),
        ("sentence", 3.95, 4),
    ]


def test_an_answer_that_was_begun_ahead_of_the_decision() -> None:
    """Its model worked while the caller might still have gone on."""
    heard = turn("user", 0, 1, end_of_turn_delay_ms=900)
    answer = turn("assistant", 2, 1, e2e_latency_ms=1000, llm_ttft_ms=700, tts_ttfb_ms=80)
    (wait,) = of(heard, answer).waits
    assert [
        (each.name, round(each.start, 3), round(each.end, 3), each.seconds) for each in wait.stages
    ] == [("decision", 1, 1.9, 0.9), ("first token", 1.9, 1.92, 0.7), ("speech", 1.92, 2, 0.08)]


def test_in_a_terminal() -> None:
    assert timeline_lines(of(*TALK), width=50) == [
        "━ speech  ╳ interrupted  · wait for the answer  ✎ typed",
        "",
        "           |0:00",
        "Ada          ━━━━",
        "agent              ━━━━━╳",
        "                 ··1.0s",
        "tools             ▒ weather 250ms",
        "           ╵Ada joins",
    ]
    assert timeline_lines(of(), width=80) == []


def test_a_long_call_goes_on_in_the_next_row() -> None:
    late = turn(
        "system", 32, 0, metadata={"kind": "tool_call", "name": "天気", "duration_ms": 9000}
    )
    typed = turn("user", 41, 0, model_used=None)
    answer = turn("assistant", 45, 9, e2e_latency_ms=3000)
    ended_at = ZERO + timedelta(seconds=54)
    page = timeline_lines(of(late, typed, answer, ended_at=ended_at), width=80)
    assert [line for line in page[1:] if line] == [
        "           |0:00               |0:10               |0:20               |0:30",
        "Ada",
        "agent",
        "tools                                                            天気 9.0s ▒▒▒▒▒",
        "           ╵Ada joins",
        "                      |0:40               |0:50",
        "Ada                     ✎",
        "agent                           ━━━━━━━━━━━━━━━━━━",
        "                          ······3.0s",
        "tools      ▒▒▒▒▒▒▒▒▒▒▒▒▒",
        "                                                  ╵active",
    ]


def test_colours_end_where_they_began() -> None:
    page = timeline_lines(of(*TALK), width=50, colour=True)
    assert "agent              \x1b[32m━━━━━\x1b[0m\x1b[31m╳\x1b[0m" in "\n".join(page)
    plain_page = timeline_lines(of(*TALK), width=50)
    assert [re.sub(r"\x1b\[\d+m", "", line).rstrip() for line in page] == plain_page


turns = st.builds(
    turn,
    st.sampled_from(["user", "assistant", "system"]),
    st.floats(-5, 400),
    st.floats(0, 60),
    content=st.text(max_size=20),
    interrupted=st.booleans(),
    e2e_latency_ms=st.none() | st.integers(0, 60_000),
    llm_ttft_ms=st.none() | st.integers(0, 60_000),
    end_of_turn_delay_ms=st.none() | st.integers(0, 60_000),
    participant_identity=st.none() | st.text(max_size=5),
    metadata=st.none() | st.fixed_dictionaries({"kind": st.just("tool_call"), "name": st.text()}),
)


@given(st.lists(turns, max_size=8), st.integers(20, 120), st.booleans())
def test_any_call_can_be_drawn(messages: list[Message], width: int, colour: bool) -> None:  # noqa: FBT001
    timeline = of(*messages)
    for span in timeline.spans:
        assert 0 <= span.start <= span.end <= timeline.seconds
        assert 0 <= span.lane < len(timeline.lanes)
    for wait in timeline.waits:
        edges = [wait.start, *(at for each in wait.stages for at in (each.start, each.end))]
        assert edges == sorted(edges)
        assert edges[-1] <= wait.end
        assert [each.name for each in wait.stages] == [
            name for name in STAGES if name in {each.name for each in wait.stages}
        ]
    lines = timeline_lines(timeline, width=width, colour=colour)
    if not colour:
        assert all(width_of(line) <= max(width, 31) for line in lines[1:])
    root = ET.fromstring("\n".join(svg_lines(timeline, title="<call> & \x00")))  # noqa: S314 - ours
    assert root.tag.endswith("svg")


async def test_an_operator_draws_it(store: Store, dsn: str, tmp_path: Path) -> None:
    header = started()
    said = message("<script>alert(1)</script>", at=at(5), model="m")
    await apply(store, batch(header, leg("ada", name="Ada"), connected(2), said, ended()))
    picture = tmp_path / "call.svg"
    code, output, errors = await run(dsn, "show", header.room_sid, "--svg", str(picture))
    assert (code, errors) == (0, "")
    assert "\n\ntimeline\n━ speech" in output
    text = picture.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    code, _, errors = await run(dsn, "show", header.room_sid, "--svg", str(tmp_path / "no" / "x"))
    assert (code, errors.count("\n")) == (2, 1)
