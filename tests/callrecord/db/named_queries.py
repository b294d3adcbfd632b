"""The queries that the schema promises to answer from an index, and the index of each."""

NAMED_QUERIES = {
    "newest calls of a user": (
        "idx_voice_calls_user_id",
        "select * from voice_calls where user_id = {user} order by created_at desc limit 20",
    ),
    "a call by id": ("voice_calls_pkey", "select * from voice_calls where id = {call}"),
    "a call by session_id": (
        "idx_voice_calls_session_id",
        "select * from voice_calls where session_id = 'call-7'",
    ),
    "a call by its LiveKit room session": (
        "idx_voice_calls_room_sid",
        "select * from voice_calls where room_sid = 'RM_7'",
    ),
    "calls that are active": (
        "idx_voice_calls_active",
        "select * from voice_calls where status = 'active' order by created_at",
    ),
    "the summary of active calls": (
        "idx_voice_calls_active",
        "select * from active_calls_summary",
    ),
    "rows that nobody serves": (
        "idx_voice_calls_active",
        """
        select id from voice_calls where status in ('pending', 'active')
        and created_at < now() - interval '90 days'
        """,
    ),
    "legs of the active calls": (
        "idx_call_participants_call_id",
        "select * from active_calls_summary",
    ),
    "messages of a call in order": (
        "idx_voice_messages_call_sequence",
        "select * from voice_messages where call_id = {call} order by timestamp, sequence_number",
    ),
    "messages of a call by number": (
        "idx_voice_messages_call_sequence",
        "select * from voice_messages where call_id = {call} order by sequence_number",
    ),
    "conversation of a call": (
        "idx_voice_messages_call_sequence",
        """
        select role, content from voice_messages
        where call_id = {call} and role in ('user', 'assistant')
        order by timestamp, sequence_number
        """,
    ),
    "one message": (
        "voice_messages_pkey",
        "update voice_messages set content = '' where id = {message}",
    ),
    "analytics of a user": (
        "idx_voice_calls_user_id",
        "select * from call_analytics where user_id = {user}",
    ),
    "analytics of a day": (
        "idx_voice_calls_created_at",
        "select * from call_analytics where created_at >= now() - interval '1 day'",
    ),
    "durations and failures of a week": (
        "idx_voice_calls_created_at",
        """
        select count(*), avg((status = 'failed')::int),
            percentile_cont(array[0.5, 0.95]) within group (order by duration_seconds)
        from voice_calls where created_at >= now() - interval '7 days'
        """,
    ),
    "tokens and cost by day and model": (
        "idx_voice_usage_created_at",
        """
        select date_trunc('day', created_at), model, sum(total_tokens), sum(cost)
        from voice_usage where created_at >= now() - interval '7 days' group by 1, 2
        """,
    ),
    "legs of a call": (
        "idx_call_participants_call_id",
        "select * from call_participants where call_id = {call} order by joined_at",
    ),
    "one leg": (
        "call_participants_pkey",
        "update call_participants set left_at = now() where id = {leg}",
    ),
    "calls a user takes part in (asked by the policies)": (
        "idx_call_participants_user_id",
        "select call_id from call_participants where user_id = {user}",
    ),
    "calls in which a user was called (asked by the policies)": (
        "idx_voice_calls_callee",
        "select id from voice_calls where callee_id = {user}",
    ),
    "requests of a call": (
        "idx_voice_usage_call_id",
        "select * from voice_usage where call_id = {call} order by created_at",
    ),
    "requests of a message (also when it is deleted)": (
        "idx_voice_usage_message_id",
        "select * from voice_usage where message_id = {message}",
    ),
    "one request": (
        "voice_usage_pkey",
        "update voice_usage set total_tokens = 1 where id = {usage}",
    ),
}
