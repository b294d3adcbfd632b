// Serves the database of DATABASE_URL and does what the lines of standard input ask, each for a
// signed-in user: {"id": 1, "user": "...", "habit": "joinCall", "with": ["..."]}. The habits are those of
// habits.ts; "start" and "conversation" run what docs/front-end.md shows.
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { createClient } from '@supabase/supabase-js'
import { SignJWT } from 'jose'
import type { Database } from '../../types/voice-calls.ts'
import * as firstHour from './first_hour.ts'
import * as habits from './habits.ts'
import { serveRest } from './rest.ts'

type Habit = keyof typeof habits | keyof typeof firstHour
type Asked = { id: number; user: string; habit: Habit; with: unknown[] }

const secret = randomBytes(32).toString('hex')
const url = await serveRest(process.env['DATABASE_URL'] ?? '', secret)

function tokenOf(user: string): Promise<string> {
  return new SignJWT({ role: 'authenticated' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))
}

async function result(asked: Asked): Promise<unknown> {
  if (asked.habit in firstHour) {
    const shown = firstHour[asked.habit as keyof typeof firstHour] as (...args: unknown[]) => unknown
    return shown(url, asked.user ? await tokenOf(asked.user) : null, ...asked.with)
  }
  const habit = habits[asked.habit as keyof typeof habits] as (...args: unknown[]) => unknown
  const client = createClient<Database>(url, 'publishable-key', { accessToken: () => tokenOf(asked.user) })
  return habit(client, ...asked.with)
}

async function answer(asked: Asked): Promise<object> {
  try {
    return { id: asked.id, result: (await result(asked)) ?? null }
  } catch (error) {
    const { code, message, cause } = error as { code?: string; message: string; cause?: unknown }
    return { id: asked.id, error: { code: code ?? '', message: cause ? `${message}: ${cause}` : message } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  void answer(JSON.parse(line)).then((said) => process.stdout.write(JSON.stringify(said) + '\n'))
}
process.exit()
