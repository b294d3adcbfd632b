"""The queries that the schema promises to answer from an index: tested over EXPLAIN, and timed.

Placeholders stand for literals: {call}, {session}, {sid}, {user}, {message}, {leg}, {usage} of one
call, {day} and {month} for the first day of a day's or month's span.
"""

from dataclasses import dataclass

CALL_MS = 10
SPAN_MS = 100


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query, the index it is answered from, and the milliseconds it may take (None: a write)."""

    index: str
    text: str
    goal_ms: int | None = CALL_MS


NAMED_QUERIES = {
    "newest calls of a user": NamedQuery(
        "idx_voice_calls_user_id",
        "select * from voice_calls where user_id = {user} order by created_at desc limit 20",
    ),
    "newest calls": NamedQuery(
        "idx_voice_calls_created_at",
        "select * from voice_calls order by created_at desc limit 20",
    ),
    "a call by id": NamedQuery("voice_calls_pkey", "select * from voice_calls where id = {call}"),
    "a call by session_id": NamedQuery(
        "idx_voice_calls_session_id", "select * from voice_calls where session_id = {session}"
    ),
    "a call by its LiveKit room session": NamedQuery(
        "idx_voice_calls_room_sid", "select * from voice_calls where room_sid = {sid}"
    ),
    "calls that are active": NamedQuery(
        "idx_voice_calls_active",
        "select * from voice_calls where status = 'active' order by created_at",
    ),
    "the summary of active calls": NamedQuery(
        "idx_voice_calls_active", "select * from active_calls_summary"
    ),
    "rows that nobody serves": NamedQuery(
        "idx_voice_calls_active",
        """
        select id from voice_calls where status in ('pending', 'active')
        and created_at < now() - interval '90 days'
        """,
    ),
    "legs of the active calls": NamedQuery(
        "idx_call_participants_open", "select * from active_calls_summary"
    ),
    "messages of a call in order": NamedQuery(
        "idx_voice_messages_call_sequence",
        "select * from voice_messages where call_id = {call} order by timestamp, sequence_number",
    ),
    "messages of a call by number": NamedQuery(
        "idx_voice_messages_call_sequence",
        "select * from voice_messages where call_id = {call} order by sequence_number",
    ),
    "conversation of a call": NamedQuery(
        "idx_voice_messages_call_sequence",
        """
        select role, content from voice_messages
        where call_id = {call} and role in ('user', 'assistant')
        order by timestamp, sequence_number
        """,
    ),
    "one message": NamedQuery(
        "voice_messages_pkey",
        "update voice_messages set content = '' where id = {message}",
        None,
    ),
    "analytics of a user": NamedQuery(
        "idx_voice_calls_user_id", "select * from call_analytics where user_id = {user}"
    ),
    "analytics of a user's newest 20 calls": NamedQuery(
        "idx_voice_calls_user_id",
        "select * from call_analytics where user_id = {user} order by created_at desc limit 20",
    ),
    "analytics of a day": NamedQuery(
        "idx_voice_calls_created_at",
        """
        select * from call_analytics
        where created_at >= {day}::timestamptz
        and created_at < {day}::timestamptz + interval '1 day'
        """,
        SPAN_MS,
    ),
    "statistics of a day": NamedQuery(
        "idx_voice_calls_created_at",
        "select * from call_statistics({day}, {day}::date + 1)",
        SPAN_MS,
    ),
    "statistics of a week": NamedQuery(
        "idx_voice_calls_created_at",
        "select * from call_statistics({day}::date - 6, {day}::date + 1)",
        SPAN_MS,
    ),
    "statistics of a month": NamedQuery(
        "idx_voice_calls_created_at",
        """
        select * from call_statistics(
            {month}, ({month}::date + interval '1 month')::date, 'month'
        )
        """,
        SPAN_MS,
    ),
    "statistics of a user's month": NamedQuery(
        "idx_voice_calls_user_id",
        """
        select * from call_statistics(
            {month}, ({month}::date + interval '1 month')::date, of_user => {user}
        )
        """,
    ),
    "tokens and cost by model, a day": NamedQuery(
        "usage_totals_key", "select * from usage_statistics({day}, {day}::date + 1)", SPAN_MS
    ),
    "tokens and cost by day and model, a month": NamedQuery(
        "usage_totals_key",
        "select * from usage_statistics({month}, ({month}::date + interval '1 month')::date)",
        SPAN_MS,
    ),
    "tokens and cost by day and model, a user's month": NamedQuery(
        "idx_voice_usage_call_id",
        """
        select * from usage_statistics(
            {month}, ({month}::date + interval '1 month')::date, of_user => {user}
        )
        """,
    ),
    "tokens and cost by user, a month": NamedQuery(
        "idx_voice_calls_created_at",
        "select * from user_statistics({month}, ({month}::date + interval '1 month')::date)",
        SPAN_MS,
    ),
    "latencies by model, a day": NamedQuery(
        "latency_totals_key", "select * from latency_statistics({day}, {day}::date + 1)", SPAN_MS
    ),
    "latencies by day and model, a month": NamedQuery(
        "latency_totals_key",
        "select * from latency_statistics({month}, ({month}::date + interval '1 month')::date)",
        SPAN_MS,
    ),
    "latencies of a user's month": NamedQuery(
        "idx_voice_messages_call_sequence",
        """
        select * from latency_statistics(
            {month}, ({month}::date + interval '1 month')::date, of_user => {user}
        )
        """,
    ),
    "latencies of a call's turns": NamedQuery(
        "idx_voice_messages_call_sequence", "select * from turn_latency where call_id = {call}"
    ),
    "requests of a day": NamedQuery(
        "idx_voice_usage_created_at",
        """
        select model, count(*), percentile_cont(0.95) within group (order by ttft_ms)
        from voice_usage where created_at >= {day}::timestamptz
        and created_at < {day}::timestamptz + interval '1 day' group by 1
        """,
        SPAN_MS,
    ),
    "legs of a call": NamedQuery(
        "idx_call_participants_call_id",
        "select * from call_participants where call_id = {call} order by joined_at",
    ),
    "one leg": NamedQuery(
        "call_participants_pkey",
        "update call_participants set left_at = now() where id = {leg}",
        None,
    ),
    "calls a user takes part in (asked by the policies)": NamedQuery(
        "idx_call_participants_user_id",
        "select call_id from call_participants where user_id = {user}",
    ),
    "calls in which a user was called (asked by the policies)": NamedQuery(
        "idx_voice_calls_callee",
        "select id from voice_calls where callee_id = {user}",
    ),
    "requests of a call": NamedQuery(
        "idx_voice_usage_call_id",
        "select * from voice_usage where call_id = {call} order by created_at",
    ),
    "requests of a message (also when it is deleted)": NamedQuery(
        "idx_voice_usage_message_id",
        "select * from voice_usage where message_id = {message}",
    ),
    "one request": NamedQuery(
        "voice_usage_pkey",
        "update voice_usage set total_tokens = 1 where id = {usage}",
        None,
    ),
}

# Answered from the catalogue, whatever the tables hold.
OPERATORS_QUERIES = {
    "table sizes": NamedQuery("", "select * from voice_worker.table_sizes"),
    "index usage": NamedQuery("", "select * from voice_worker.index_usage"),
}
