// PostgREST's protocol over a real Postgres. No registry has the program itself; this is Supabase's
// own implementation in TypeScript: requests run under the role and claims of their token, and what
// Postgres refuses comes back with its code. Its timestamps are written as Postgres does, not as JSON.
import { freePort } from './ports.ts'
import { serve } from '@hono/node-server'
import { App } from '@supabase/lite'
import { createPostgresConnection } from '@supabase/lite/postgres'

/** Serve a database on a port of its own; returns the URL that `createClient` takes. */
export async function serveRest(databaseUrl: string, jwtSecret: string): Promise<string> {
  const connection = createPostgresConnection({ url: databaseUrl })
  // Else it begins with grants to the roles of requests in each schema that has row level security.
  // PostgREST grants nothing.
  Object.assign(connection, { rlsState: 'active' })
  const app = new App({
    connection,
    auth: { enabled: false, jwt_secret: jwtSecret },
    options: {
      server: {
        apiKeys: false,
        disableStudio: true,
        disableFallback: true,
        middlewares: [
          // Without these its sign-in service, which is off, would look for the user. The REST part
          // verifies the token and replaces them.
          async (context, next) => {
            context.set('userId', 'unverified')
            context.set('sessionId', 'unverified')
            await next()
          },
        ],
      },
    },
  })
  const port = await freePort()
  return new Promise((resolve) => {
    serve({ fetch: (request) => app.fetch(request), hostname: '127.0.0.1', port }, () => {
      resolve(`http://127.0.0.1:${port}`)
    })
  })
}
