import { createHash } from 'node:crypto'
import type { DangerousActName } from '../../model/dangerous-act.ts'
import type { Operator, OperatorCredential, Role } from '../../model/operator.ts'
import type { IssuedToken, Operators } from '../operators.ts'
import type { Asker, SecondPerson } from '../second-person.ts'

export interface OperatorActParts {
  readonly operators: Operators
  readonly secondPerson: SecondPerson
}

/** Who may run the server, and by which log-ins. Whoever could decide that alone would be his own second person. */
export class OperatorActs {
  readonly #parts: OperatorActParts

  constructor(parts: OperatorActParts) {
    this.#parts = parts
  }

  /** As `Operators.create`. */
  async create(asker: Asker, name: string, role: Role): Promise<Operator> {
    await this.#demand(asker, 'operator.create', name, role, `'${name}' becomes an operator in the role ${role}.`)
    return this.#parts.operators.create(name, role, asker.who.name)
  }

  /** As `Operators.issueToken`. */
  async issueToken(asker: Asker, name: string, expires: number): Promise<IssuedToken> {
    const { role } = this.#parts.operators.get(name)
    const told = `'${asker.who.name}' is told a token by which one is '${name}', in the role ${role}.`
    await this.#demand(asker, 'operator.issue-token', name, role, told)
    return this.#parts.operators.issueToken(name, expires, asker.who.name)
  }

  /** As `Operators.addCertificate`. */
  async addCertificate(
    asker: Asker,
    name: string,
    certificate: { der: Uint8Array; subject: string; expires: number },
  ): Promise<OperatorCredential> {
    const { role } = this.#parts.operators.get(name)
    const sha256 = createHash('sha256').update(certificate.der).digest('hex')
    const told = `Who has the key of "${certificate.subject}" (SHA-256 ${sha256}) is '${name}', in the role ${role}.`
    await this.#demand(asker, 'operator.add-certificate', name, role, told)
    return this.#parts.operators.addCertificate(name, certificate, asker.who.name)
  }

  #demand(asker: Asker, act: DangerousActName, name: string, role: Role, cutsOff: string): Promise<void> {
    const { operators, secondPerson } = this.#parts
    if (operators.isFirstApprover(name, role)) return secondPerson.goAlone(asker, act, name)
    const present = operators.find(name)
    const state = present === null ? '' : `${present.created} ${present.credentials.map(({ id }) => id).join(' ')}`
    return secondPerson.demand(asker, act, () => ({ state, cutsOff }))
  }
}
