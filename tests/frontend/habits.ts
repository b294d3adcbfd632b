// What a front end does with the tables, as typed code: the test runs it, and tsc checks it.
import type { SupabaseClient } from '@supabase/supabase-js'
import type {
  ActiveCall,
  CallStatus,
  Database,
  VoiceCall,
  VoiceCallUpdate,
  VoiceMessage,
  VoiceMessageInsert,
} from '../../types/voice-calls.ts'

type Client = SupabaseClient<Database>

export async function createCall(client: Client, userId: string, sessionId: string): Promise<string> {
  const { data } = await client
    .from('voice_calls')
    .insert({ user_id: userId, session_id: sessionId, room_name: 'Support Call', ai_agent_used: true })
    .select('id')
    .single()
    .throwOnError()
  return data.id
}

async function update(client: Client, id: string, change: VoiceCallUpdate): Promise<VoiceCall> {
  const changed = client.from('voice_calls').update(change).eq('id', id)
  return (await changed.select().single().throwOnError()).data
}

export function joinCall(client: Client, id: string): Promise<VoiceCall> {
  return update(client, id, { status: 'active', connected_at: new Date().toISOString() })
}

export function endCall(client: Client, id: string): Promise<VoiceCall> {
  return update(client, id, { status: 'completed', ended_at: new Date().toISOString() })
}

export async function countMessages(client: Client, callId: string): Promise<number> {
  const { count } = await client
    .from('voice_messages')
    .select('*', { count: 'exact', head: true })
    .eq('call_id', callId)
    .throwOnError()
  return count ?? 0
}

export async function insertMessage(client: Client, row: VoiceMessageInsert): Promise<VoiceMessage> {
  return (await client.from('voice_messages').insert(row).select().single().throwOnError()).data
}

export async function addMessage(client: Client, callId: string, content: string): Promise<number> {
  const number = (await countMessages(client, callId)) + 1
  const row = { call_id: callId, role: 'user', content, sequence_number: number } as const
  return (await insertMessage(client, row)).sequence_number ?? 0
}

export async function callById(client: Client, id: string): Promise<VoiceCall | null> {
  return (await client.from('voice_calls').select('*').eq('id', id).maybeSingle().throwOnError()).data
}

export async function callBySession(client: Client, sessionId: string): Promise<VoiceCall> {
  const found = client.from('voice_calls').select('*').eq('session_id', sessionId)
  return (await found.single().throwOnError()).data
}

export async function callsOf(client: Client, userId: string): Promise<VoiceCall[]> {
  const { data } = await client
    .from('voice_calls')
    .select('*')
    .eq('user_id', userId)
    .order('created_at', { ascending: false })
    .limit(20)
    .throwOnError()
  return data
}

export async function activeCalls(client: Client): Promise<ActiveCall[]> {
  return (await client.from('active_calls_summary').select('*').throwOnError()).data
}

export async function messagesOf(client: Client, callId: string): Promise<VoiceMessage[]> {
  const found = client.from('voice_messages').select('*').eq('call_id', callId)
  return (await found.order('sequence_number', { ascending: true }).throwOnError()).data
}

/** A call with what belongs to it, in one request. */
export async function wholeCall(
  client: Client,
  id: string,
): Promise<{ status: CallStatus; words: string[]; legs: (string | null)[] }> {
  const { data } = await client
    .from('voice_calls')
    .select('status, voice_messages(content), call_participants(user_id)')
    .eq('id', id)
    .single()
    .throwOnError()
  return {
    status: data.status,
    words: data.voice_messages.map((message) => message.content),
    legs: data.call_participants.map((leg) => leg.user_id),
  }
}

export async function deleteCall(client: Client, id: string): Promise<void> {
  await client.from('voice_calls').delete().eq('id', id).throwOnError()
}
