// What the types have to refuse: tsc fails where a line below is an error no more.
import { createClient } from '@supabase/supabase-js'
import type { Database, EndReason, VoiceCall } from '../../types/voice-calls.ts'

const client = createClient<Database>('http://127.0.0.1', 'key')
const calls = client.from('voice_calls')
const call = { user_id: 'u', session_id: 's', room_name: 'r' }

calls.insert(call)
// @ts-expect-error no such column
calls.insert({ ...call, caller: 'x' })
// @ts-expect-error kept by triggers
calls.insert({ ...call, total_tokens_used: 1 })
// @ts-expect-error session_id is missing
calls.insert({ room_name: 'r' })
// @ts-expect-error kept by triggers
calls.update({ total_tokens_used: 1 })
// @ts-expect-error a call stays its owner's
calls.update({ user_id: 'u' })
// @ts-expect-error no such status
calls.update({ status: 'done' })
// @ts-expect-error no such column
calls.select('id').eq('caller', 'x')
// @ts-expect-error no such table
client.from('calls')
// @ts-expect-error written by the worker alone
client.from('voice_usage').insert({ call_id: 'c' })

const { data } = await calls.select('id, caller').single().throwOnError()
// @ts-expect-error no such column
console.log(data.id)

export function seconds(row: VoiceCall): number {
  // @ts-expect-error null while the call lasts
  return row.duration_seconds
}

// @ts-expect-error no such reason
export const reason: EndReason = 'bored'
