import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Context, Span } from '@opentelemetry/api'
import { HubError } from './errors.ts'

/** What a span can be of; the guide for operators lists them. */
export type SpanName =
  | 'device.connect'
  | 'device.register'
  | 'telemetry.commit'
  | 'reader.attach'
  | 'revocation.close'
  | 'management.request'
  | 'backup'

/** All that a span can tell: names, ids and numbers. There is no member that could carry a key, a token or a body. */
export interface SpanFacts {
  readonly 'holdfast.hub'?: string
  /** Claimed until the outcome says `accepted`. */
  readonly 'holdfast.device.id'?: string
  readonly 'holdfast.registration.id'?: string
  readonly 'holdfast.session.id'?: string
  readonly 'holdfast.outcome'?: 'accepted' | 'refused' | 'failed' | 'unassigned' | 'assigned' | 'assigning' | 'disabled'
  /** The rule of the refusal. */
  readonly 'holdfast.rule'?: string
  readonly 'holdfast.tracking.id'?: string
  readonly 'holdfast.partition'?: string
  readonly 'holdfast.consumer_group'?: string
  readonly 'holdfast.events'?: number
  readonly 'holdfast.bytes'?: number
  readonly 'holdfast.revocation.kind'?: string
  readonly 'holdfast.sessions.closed'?: number
  readonly 'holdfast.backup.id'?: string
  readonly 'http.request.method'?: string
  readonly 'http.route'?: string
  readonly 'http.response.status_code'?: number
  readonly 'network.protocol.name'?: string
  readonly 'client.address'?: string
  readonly 'error.type'?: string
}

/** Something under way that is shown as a span. */
export interface Traced {
  /** Adds what was found on the way. */
  note(facts: SpanFacts): void
  /** What runs in here has this span as its parent. */
  within<T>(work: () => T): T
  /** `error`: what it ended with, when it did not end well. */
  end(error?: unknown): void
}

/** Without an SDK this is a tracer that records nothing; an SDK that registers itself takes its place. */
const tracer = trace.getTracer('holdfast')

/** What no peer has asked for in these words. */
const INTERNAL: ReadonlySet<SpanName> = new Set(['telemetry.commit', 'revocation.close'])

const UNTRACED: Traced = { note: () => {}, within: (work) => work(), end: () => {} }

/** Begins a span; costs 50 ns while no SDK is registered. To be ended by the caller. */
export function beginSpan(name: SpanName, facts: SpanFacts): Traced {
  const kind = INTERNAL.has(name) ? SpanKind.INTERNAL : SpanKind.SERVER
  const span = tracer.startSpan(name, { kind, attributes: { ...facts } })
  return span.isRecording() ? new RecordedSpan(span) : UNTRACED
}

/** Runs `work` in a span of this name, which ends with it. */
export async function traced<T>(name: SpanName, facts: SpanFacts, work: (span: Traced) => Promise<T>): Promise<T> {
  const span = beginSpan(name, facts)
  try {
    const result = await span.within(() => work(span))
    span.end()
    return result
  } catch (error) {
    span.end(error)
    throw error
  }
}

class RecordedSpan implements Traced {
  readonly #span: Span
  readonly #context: Context

  constructor(span: Span) {
    this.#span = span
    this.#context = trace.setSpan(context.active(), span)
  }

  note(facts: SpanFacts): void {
    this.#span.setAttributes({ ...facts })
  }

  within<T>(work: () => T): T {
    return context.with(this.#context, work)
  }

  end(error?: unknown): void {
    if (error !== undefined) this.#failed(error)
    this.#span.end()
  }

  /** A refusal is the server's work well done; the error's text stays in the log, which has the tracking id too. */
  #failed(error: unknown): void {
    const isExpected = error instanceof HubError && error.code !== 'internal'
    const trackingId = error instanceof HubError ? error.trackingId : undefined
    const rule = ruleOf(error)
    this.note({
      'holdfast.outcome': isExpected ? 'refused' : 'failed',
      'error.type': error instanceof HubError ? error.code : 'internal',
      ...(rule !== undefined && { 'holdfast.rule': rule }),
      ...(trackingId !== undefined && { 'holdfast.tracking.id': trackingId }),
    })
    if (!isExpected) this.#span.setStatus({ code: SpanStatusCode.ERROR })
  }
}

/** Of a refusal, whose class belongs to the hub. */
function ruleOf(error: unknown): string | undefined {
  const refusal = error instanceof Error && 'refusal' in error ? error.refusal : null
  return typeof refusal === 'object' && refusal !== null && 'rule' in refusal ? String(refusal.rule) : undefined
}
