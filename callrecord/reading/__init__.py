"""Reads recorded calls from Python.

from callrecord.reading import call_by_session, conversation

call = await call_by_session(conn, "room-7")
for turn in await conversation(conn, call.id):
    print(turn.role, turn.content)
"""

from callrecord.reading.calls import (
    Reader,
    active_calls,
    call_by_session,
    calls_of_user,
    find_call,
    get_call,
    newest_calls,
)
from callrecord.reading.record import (
    CallRecord,
    conversation,
    ledger_faults,
    legs_of_call,
    messages_of_call,
    record_of,
    usage_of_call,
)
from callrecord.rows import ActiveCall, Call, CallStatus, Leg, Message, Metadata, Usage

__all__ = [
    "ActiveCall",
    "Call",
    "CallRecord",
    "CallStatus",
    "Leg",
    "Message",
    "Metadata",
    "Reader",
    "Usage",
    "active_calls",
    "call_by_session",
    "calls_of_user",
    "conversation",
    "find_call",
    "get_call",
    "ledger_faults",
    "legs_of_call",
    "messages_of_call",
    "newest_calls",
    "record_of",
    "usage_of_call",
]
