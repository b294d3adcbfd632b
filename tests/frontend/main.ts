// Serves the database of DATABASE_URL and does what the lines of standard input ask, each for a
// signed-in user: {"id": 1, "user": "...", "habit": "joinCall", "with": ["..."]}.
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { createClient } from '@supabase/supabase-js'
import { SignJWT } from 'jose'
import type { Database } from '../../types/voice-calls.ts'
import * as habits from './habits.ts'
import { serveRest } from './rest.ts'

type Asked = { id: number; user: string; habit: keyof typeof habits; with: unknown[] }

const secret = randomBytes(32).toString('hex')
const url = await serveRest(process.env['DATABASE_URL'] ?? '', secret)

function clientOf(user: string) {
  const token = new SignJWT({ role: 'authenticated' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))
  return createClient<Database>(url, 'publishable-key', { accessToken: () => token })
}

async function answer(asked: Asked): Promise<object> {
  const habit = habits[asked.habit] as (...args: unknown[]) => Promise<unknown>
  try {
    return { id: asked.id, result: (await habit(clientOf(asked.user), ...asked.with)) ?? null }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return { id: asked.id, error: { code: code ?? '', message } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  void answer(JSON.parse(line)).then((said) => process.stdout.write(JSON.stringify(said) + '\n'))
}
process.exit()
