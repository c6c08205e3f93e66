// Spans of Holdfast, by an SDK and an exporter of your choice:
//   NODE_OPTIONS='--import=/etc/holdfast/tracing.mjs' holdfast start …
import { isMainThread } from 'node:worker_threads'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BatchSpanProcessor, ConsoleSpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'

// The threads of the stores load this file, too, and make no spans.
if (isMainThread) {
  // In its place the exporter of your collector, such as OTLPTraceExporter of @opentelemetry/exporter-trace-otlp-http.
  const exporter = new ConsoleSpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter })] })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  process.once('beforeExit', () => void provider.shutdown())
}
