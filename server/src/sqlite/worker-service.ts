import { parentPort } from 'node:worker_threads'
import { faultOf } from './fault.ts'
import type { WorkerMessage } from './worker-link.ts'

type Incoming<Request> = { readonly kind: 'request'; readonly request: Request } | { readonly kind: 'close' }

/**
 * The worker's end of a `WorkerLink`: answers each request in turn. `afterwards` runs once the answer is on its way,
 * for work that nobody should wait for; `close` releases what the worker holds, whereupon the thread ends.
 */
export function serve<Request>(service: {
  handle(request: Request): unknown
  afterwards(request: Request): void
  close(): void
}): void {
  const port = parentPort
  if (port === null) throw new Error('This file is the body of a worker thread.')
  const post = (message: WorkerMessage<unknown>): void => port.postMessage(message)
  const answer = (request: Request): void => {
    try {
      post({ kind: 'answer', answer: service.handle(request) })
    } catch (error) {
      post({ kind: 'fault', fault: faultOf(error) })
    }
  }
  port.on('message', (message: Incoming<Request>) => {
    if (message.kind === 'close') {
      service.close()
      port.close()
      return
    }
    answer(message.request)
    service.afterwards(message.request)
  })
  post({ kind: 'ready' })
}
