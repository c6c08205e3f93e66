import { Counter, Gauge, Histogram, Registry as MetricRegistry, collectDefaultMetrics } from 'prom-client'

/**
 * What came of asking a CA's responder. Not asked at all: `too-many` waited already, `no-turn-in-time`, and
 * `no-responder` when the certificate names none.
 */
export type OcspOutcome = 'good' | 'revoked' | 'unknown' | 'failed' | 'no-responder' | 'too-many' | 'no-turn-in-time'

/** Prometheus series of one server; each label set is closed, so that a hostile peer cannot make series grow. */
export class Metrics {
  readonly registry = new MetricRegistry()
  readonly connections = new Gauge({
    name: 'holdfast_connections',
    help: 'Open authenticated connections',
    labelNames: ['protocol'],
    registers: [this.registry],
  })
  readonly connects = new Counter({
    name: 'holdfast_connects_total',
    help: 'Authenticated connects',
    labelNames: ['protocol'],
    registers: [this.registry],
  })
  readonly refusals = new Counter({
    name: 'holdfast_refusals_total',
    help: 'Refused attempts by cause',
    labelNames: ['area', 'rule'],
    registers: [this.registry],
  })
  readonly rejectedConnections = new Counter({
    name: 'holdfast_rejected_connections_total',
    help: 'Connections closed before the handshake by admission limits',
    labelNames: ['limit'],
    registers: [this.registry],
  })
  readonly alarms = new Counter({
    name: 'holdfast_alarms_total',
    help: 'Alarms by kind',
    labelNames: ['kind'],
    registers: [this.registry],
  })
  readonly droppedOperations = new Counter({
    name: 'holdfast_dropped_operation_events_total',
    help: 'Events that the operations streams were too slow or too full for',
    labelNames: ['category'],
    registers: [this.registry],
  })
  readonly webhookDeliveries = new Counter({
    name: 'holdfast_webhook_deliveries_total',
    help: 'Calls of webhooks by outcome',
    labelNames: ['outcome'],
    registers: [this.registry],
  })
  readonly ocspQuestions = new Counter({
    name: 'holdfast_ocsp_questions_total',
    help: 'Questions about device certificates by outcome; after all but good, revoked and unknown the policy of the CA decided without an answer',
    labelNames: ['outcome'],
    registers: [this.registry],
  })
  readonly auditBytes = new Gauge({
    name: 'holdfast_audit_log_bytes',
    help: 'Size of the audit log on this server',
    registers: [this.registry],
  })
  readonly messages = new Counter({
    name: 'holdfast_messages_total',
    help: 'Device-to-cloud messages made durable',
    registers: [this.registry],
  })
  readonly messageBytes = new Counter({
    name: 'holdfast_message_bytes_total',
    help: 'Bytes of device-to-cloud message bodies made durable',
    registers: [this.registry],
  })
  readonly registrations = new Counter({
    name: 'holdfast_registrations_total',
    help: 'Provisioning decisions by outcome',
    labelNames: ['outcome'],
    registers: [this.registry],
  })
  readonly commitSeconds = new Histogram({
    name: 'holdfast_commit_seconds',
    help: 'Time from first waiting event to durable commit',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    registers: [this.registry],
  })

  readonly expirySeconds = new Gauge({
    name: 'holdfast_expiry_seconds',
    help: 'Time until the first certificate of each kind ends; negative when it has',
    labelNames: ['kind'],
    registers: [this.registry],
  })
  readonly expiring = new Gauge({
    name: 'holdfast_expiring_certificates',
    help: 'Certificates that end within the time (0d: that have ended)',
    labelNames: ['kind', 'within'],
    registers: [this.registry],
  })

  readonly notReady = new Gauge({
    name: 'holdfast_not_ready',
    help: '1 while this keeps the server from being ready',
    labelNames: ['reason'],
    registers: [this.registry],
  })

  constructor() {
    collectDefaultMetrics({ register: this.registry })
  }
}
