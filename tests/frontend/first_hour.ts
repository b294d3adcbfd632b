// The code that docs/front-end.md shows (route.ts and reading.ts are cut out of it), run for a user.
import { createServer } from 'node:http'
import { registerHooks } from 'node:module'
import { decodeJwt } from 'jose'
import type { VoiceMessage } from '../../types/voice-calls.ts'
import { freePort } from './ports.ts'

registerHooks({
  resolve: (name, context, next) =>
    next(name === '@/lib/supabase' ? new URL('supabase.ts', import.meta.url).href : name, context),
})

/** One of the files that are cut out; tsconfig.next.json checks them, as strict as a Next.js app is. */
function shown(name: string) {
  return import(new URL(name, import.meta.url).href)
}

let roomsUrl: string | undefined
const rooms: { path: string; name: string; metadata: string }[] = []

/** A LiveKit server that takes each request for a room, and keeps it. */
async function serveRooms(): Promise<string> {
  const port = await freePort()
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    const asked = JSON.parse(body)
    rooms.push({ path: request.url ?? '', ...asked })
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ sid: 'RM_1', name: asked.name, metadata: asked.metadata }))
  })
  server.keepAliveTimeout = 60_000 // a client must not use a connection that is closed just then
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve(`http://127.0.0.1:${port}`))
  })
}

/** Ask the route with the user's token; returns what it answers, the room, and what the token says. */
export async function start(url: string, token: string | null): Promise<object> {
  process.env['SUPABASE_URL'] = url
  roomsUrl ??= await serveRooms()
  process.env['LIVEKIT_URL'] = roomsUrl // a variable of another test's must not lead elsewhere
  process.env['LIVEKIT_API_KEY'] = 'key'
  process.env['LIVEKIT_API_SECRET'] = 'a secret that is long enough for HS256'
  const { POST } = await shown('route.ts')
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {}
  const answer: Response = await POST(new Request('http://app/api/voice/start', { method: 'POST', headers }))
  const text = await answer.text()
  if (!answer.ok) return { status: answer.status, text }
  const given = JSON.parse(text)
  return { status: answer.status, call: given.callId, room: rooms.at(-1), grant: decodeJwt(given.token) }
}

/** Read a conversation as the page shows it; the token is that of the signed-in user. */
export async function conversation(url: string, token: string, call: string): Promise<VoiceMessage[]> {
  const { read } = await shown('reading.ts')
  return read(url, token, call)
}
