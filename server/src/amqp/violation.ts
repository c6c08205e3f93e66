/** The peer broke AMQP or one of our announced limits: the connection is closed with this condition and text. */
export class AmqpViolation extends Error {
  override readonly name = 'AmqpViolation'
  readonly condition: string

  constructor(condition: string, message: string) {
    super(message)
    this.condition = condition
  }
}

export function malformed(what: string): AmqpViolation {
  return new AmqpViolation('amqp:decode-error', `Malformed AMQP: ${what}`)
}
