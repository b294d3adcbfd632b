// The team's own file `@/lib/supabase`, which the route in docs/front-end.md imports: a client with the
// token of whoever asks. There is no sign-in service behind it that could be asked who that is.
import { createClient } from '@supabase/supabase-js'
import { decodeJwt } from 'jose'
import type { Database } from '../../types/voice-calls.ts'

export function supabaseOf(request: Request) {
  const token = request.headers.get('Authorization')?.replace('Bearer ', '')
  const client = createClient<Database>(process.env['SUPABASE_URL'] ?? '', 'publishable-key', {
    accessToken: async () => token ?? null,
  })
  const user = token ? { id: decodeJwt(token).sub ?? '' } : null
  return {
    auth: { getUser: async () => ({ data: { user } }) },
    from: client.from.bind(client) as typeof client.from,
  }
}
