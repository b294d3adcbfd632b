import { createServer } from 'node:net'

/** A free port above those that `fetch` refuses to ask (https://fetch.spec.whatwg.org/#bad-port). */
export async function freePort(): Promise<number> {
  for (;;) {
    const probe = createServer()
    const port = await new Promise<number>((resolve) => {
      probe.listen(0, '127.0.0.1', () => {
        const address = probe.address()
        resolve(typeof address === 'object' && address ? address.port : 0)
      })
    })
    await new Promise((resolve) => probe.close(resolve))
    if (port > 10080) return port
  }
}
