import { request } from 'node:https'

/** Devices that each register once, over a TLS connection of their own. */
export interface RegisterOrder {
  readonly port: number
  /** PEM. */
  readonly ca: string
  readonly scope: string
  readonly devices: readonly { readonly id: string; readonly cert: string; readonly key: string }[]
  /** Registrations under way at the same time. */
  readonly parallel: number
}

export interface RegisterReport {
  readonly assigned: number
  readonly seconds: number
}

function register(
  { port, ca, scope }: RegisterOrder,
  { id, cert, key }: RegisterOrder['devices'][number],
): Promise<void> {
  const body = JSON.stringify({ registrationId: id })
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        servername: 'localhost',
        port,
        ca,
        cert,
        key,
        agent: false,
        method: 'PUT',
        path: `/${scope}/registrations/${id}/register?api-version=2019-03-31`,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        answer.once('end', () =>
          text.includes('"assigned"')
            ? resolve()
            : reject(new Error(`${id}: HTTP ${answer.statusCode} ${text.slice(0, 200)}`)),
        )
      },
    )
    call.once('error', reject)
    call.end(body)
  })
}

async function work(order: RegisterOrder): Promise<RegisterReport> {
  const waiting = [...order.devices]
  const started = performance.now()
  await Promise.all(
    Array.from({ length: order.parallel }, async () => {
      for (let device = waiting.pop(); device !== undefined; device = waiting.pop()) await register(order, device)
    }),
  )
  return { assigned: order.devices.length, seconds: (performance.now() - started) / 1000 }
}

process.once('message', (order: RegisterOrder) => {
  work(order).then(
    (report) => process.send?.({ report }, () => process.exit(0)),
    (error: Error) => process.send?.({ error: error.message }, () => process.exit(1)),
  )
})
