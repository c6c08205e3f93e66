import type { Bus, Hint } from '../ports/bus.ts'

/**
 * The bus of a server that is one process. Hints are delivered in order, after the publisher's own turn, as they would
 * be from another node; `onListenerError` is told when a listener throws.
 */
export function openLocalBus(options: { onListenerError?: (error: unknown) => void } = {}): Bus {
  const { onListenerError = warn } = options
  const listeners = new Set<(hint: Hint) => void>()
  let closed = false
  const deliver = (hint: Hint): void => {
    for (const listener of closed ? [] : [...listeners]) {
      // One that has been unsubscribed by a listener before it hears nothing more.
      if (!listeners.has(listener)) continue
      try {
        listener(hint)
      } catch (error) {
        onListenerError(error)
      }
    }
  }
  return {
    publish: (hint) => {
      if (!closed) queueMicrotask(() => deliver(hint))
    },
    subscribe: (listener) => {
      // A fresh function for each subscription, so that the same listener can subscribe twice and leave once.
      const subscription = (hint: Hint): void => listener(hint)
      listeners.add(subscription)
      return () => listeners.delete(subscription)
    },
    close: async () => {
      closed = true
      listeners.clear()
    },
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), { code: 'HOLDFAST_BUS_LISTENER' })
}
