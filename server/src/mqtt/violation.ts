/** The peer broke a MUST of MQTT 3.1.1; the only answer is to close the connection [MQTT-4.8.0-1]. */
export class MqttViolation extends Error {
  override readonly name = 'MqttViolation'
  /** The statement of the standard, e.g. `MQTT-3.3.1-4`, or its section where it has no number. */
  readonly statement: string

  constructor(statement: string, message: string) {
    super(`${message} [${statement}]`)
    this.statement = statement
  }
}
