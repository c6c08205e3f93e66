import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { operatorGround } from '../model/ground.ts'
import type { Ground } from '../model/ground.ts'
import { printable } from '../model/ids.ts'
import { OPERATOR_NAME, OWNER_NAME, roleMay } from '../model/operator.ts'
import type { Operator, OperatorCredential, Role } from '../model/operator.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { SettingStore } from '../ports/registry.ts'

const OPERATORS = 'management.operators'
const OWNER_TOKEN = 'management.token-sha256'
/** Who was the first, besides the owner, who could approve. */
const SECOND_PERSON = 'management.second-person'
/** Lets secret scanners recognise a leaked token. */
const TOKEN_PREFIX = 'holdfast_'
const TOKEN_BYTES = 32
const ID_BYTES = 6
const MAX_OPERATORS = 200
/** Two to change over from one to the other, for each of some machines. */
const MAX_CREDENTIALS = 10

/** A log-in that was found good: made by `Operators` alone. */
export interface AuthenticatedOperator {
  readonly name: string
  readonly role: Role
  readonly method: 'token' | 'certificate'
  /** By which he logged in; null for the owner's token. */
  readonly credential: OperatorCredential | null
}

/** A token, whose text is told this once. */
export interface IssuedToken {
  readonly token: string
  readonly credential: OperatorCredential
}

export type LogInFailure = {
  readonly rule: 'token-signature-wrong' | 'token-expired' | 'thumbprint-mismatch'
  /** Whose credential it calls itself, as far as that is known. */
  readonly principal: string | null
}

/**
 * The people and programs that run the server: their roles and how they log in. All of them are one value of the
 * registry, written whole, and held in memory.
 */
export class Operators {
  readonly #settings: SettingStore
  readonly #clock: Clock
  readonly #random: Randomness
  #operators: readonly Operator[]
  #ownerToken: string | null
  #hadSecondPerson: boolean
  #onLoss: (ground: Ground) => void = () => {}
  #writing: Promise<unknown> = Promise.resolve()

  static async open(parts: { settings: SettingStore; clock: Clock; random: Randomness }): Promise<Operators> {
    const text = await parts.settings.get(OPERATORS)
    const operators = text === null ? [] : (JSON.parse(text) as readonly Operator[])
    const [ownerToken, second] = [await parts.settings.get(OWNER_TOKEN), await parts.settings.get(SECOND_PERSON)]
    return new Operators(parts, operators, ownerToken, second !== null)
  }

  private constructor(
    { settings, clock, random }: { settings: SettingStore; clock: Clock; random: Randomness },
    operators: readonly Operator[],
    ownerToken: string | null,
    hadSecondPerson: boolean,
  ) {
    this.#settings = settings
    this.#clock = clock
    this.#random = random
    this.#operators = operators
    this.#ownerToken = ownerToken
    this.#hadSecondPerson = hadSecondPerson || operators.some((each) => isIndependent(each))
  }

  /** Told of each log-in that is revoked or replaced, once it lets nobody in any more. For the life of the server. */
  onLoss(listener: (ground: Ground) => void): void {
    this.#onLoss = listener
  }

  /**
   * Makes the owner's token, which takes the place of the one before. Only digests are stored, so this is the one chance
   * to keep it: it belongs into a file that nobody but the owner can read.
   */
  async issueOwnerToken(): Promise<string> {
    const token = TOKEN_PREFIX + Buffer.from(this.#random.bytes(TOKEN_BYTES)).toString('base64url')
    await this.#settings.put(OWNER_TOKEN, digestOf(token))
    this.#ownerToken = digestOf(token)
    this.#onLoss(groundOf({ name: OWNER_NAME, credential: null }))
    return token
  }

  /** Tokens are found by their digest: what the search may tell by its time is of a value that nobody can choose. */
  byToken(token: string): AuthenticatedOperator | LogInFailure {
    const sha256 = digestOf(token)
    if (sha256 === this.#ownerToken) return { name: OWNER_NAME, role: 'owner', method: 'token', credential: null }
    const id = /^holdfast_([0-9a-f]{12})_/.exec(token)?.[1]
    const principal = id === undefined ? null : (this.#find((each) => each.id === id)?.operator.name ?? null)
    return this.#byDigest('token', sha256) ?? { rule: 'token-signature-wrong', principal }
  }

  /** `der`: the certificate whose key the peer has proven in the handshake. Whether it still holds is not judged here. */
  byCertificate(der: Uint8Array): AuthenticatedOperator | LogInFailure {
    const sha256 = createHash('sha256').update(der).digest('hex')
    return this.#byDigest('certificate', sha256) ?? { rule: 'thumbprint-mismatch', principal: null }
  }

  list(): readonly Operator[] {
    return this.#operators
  }

  find(name: string): Operator | null {
    return this.#operators.find((each) => each.name === name) ?? null
  }

  get(name: string): Operator {
    const operator = this.find(name)
    if (operator === null)
      throw new HubError(
        'operation-not-found',
        name === OWNER_NAME
          ? 'The owner has one token, which the server makes: it is renewed by removing its file and starting again.'
          : `There is no operator '${printable(name)}': 'holdfast operator list' names those there are.`,
      )
    return operator
  }

  /** Whether he is somebody who may approve what another one asks for. */
  mayApprove(name: string): boolean {
    const role = name === OWNER_NAME ? 'owner' : this.find(name)?.role
    return role !== undefined && roleMay(role, 'approvals.decide')
  }

  /** Those who may approve and can log in. */
  approvers(): readonly string[] {
    const now = this.#clock.now()
    const able = this.#operators.filter(
      ({ name, credentials }) => this.mayApprove(name) && credentials.some((each) => isLiving(each, now)),
    )
    return [OWNER_NAME, ...able.map(({ name }) => name)]
  }

  /**
   * Whether making him, or his first log-in, is what makes a second person possible at all: nobody else could approve, ever.
   * From then on `false` for good, whoever goes.
   */
  isFirstApprover(name: string, role: Role): boolean {
    if (this.#hadSecondPerson || !roleMay(role, 'approvals.decide')) return false
    const now = this.#clock.now()
    const others = this.#operators.filter((each) => each.name !== name && this.mayApprove(each.name))
    const present = this.find(name)
    return others.length === 0 && (present === null || !present.credentials.some((each) => isLiving(each, now)))
  }

  async create(name: string, role: Role, madeBy: string): Promise<Operator> {
    if (!OPERATOR_NAME.test(name) || name === OWNER_NAME)
      throw new HubError(
        'argument-invalid',
        `'${printable(name)}' cannot be the name of an operator: 1 to 64 of a-z, 0-9, '.', '_' and '-', and not '${OWNER_NAME}'.`,
      )
    const operator: Operator = { name, role, created: this.#clock.now(), madeBy, credentials: [] }
    await this.#change((operators) => {
      if (operators.some((each) => each.name === name))
        throw new HubError('precondition-failed', `There is an operator '${name}' already: revoke it first.`)
      if (operators.length >= MAX_OPERATORS)
        throw new HubError('argument-invalid', `There are ${MAX_OPERATORS} operators already: revoke one first.`)
      return [...operators, operator]
    })
    return operator
  }

  /** Another token of an operator. Its text is told once. */
  async issueToken(name: string, expires: number | null, madeBy: string): Promise<IssuedToken> {
    const issued = this.#newToken(expires, madeBy)
    await this.#addCredential(name, issued.credential)
    return issued
  }

  /**
   * Another token in the place of the one that he logged in by, told to him alone. It ends when that one would have.
   * Rejects with `argument-invalid` for who has no token, or the owner's.
   */
  async renewToken({ name, credential }: AuthenticatedOperator): Promise<IssuedToken> {
    if (credential?.kind !== 'token')
      throw new HubError(
        'argument-invalid',
        credential === null
          ? "The owner's token is renewed on the server: remove its file and start the server again."
          : 'This log-in is a certificate: there is no token to renew.',
      )
    const issued = this.#newToken(credential.expires, name)
    if (this.mayApprove(name)) await this.#noteSecondPerson(name)
    await this.#change((operators) => {
      if (!this.get(name).credentials.some(({ id }) => id === credential.id))
        throw new HubError('precondition-failed', 'The token was revoked or renewed meanwhile.')
      return operators.map((each) =>
        each.name === name
          ? { ...each, credentials: [...each.credentials.filter(({ id }) => id !== credential.id), issued.credential] }
          : each,
      )
    })
    return issued
  }

  /** Lets an operator in by a client certificate, which is known by its digest. `expires`: its end. */
  async addCertificate(
    name: string,
    certificate: { der: Uint8Array; subject: string; expires: number },
    madeBy: string,
  ): Promise<OperatorCredential> {
    const sha256 = createHash('sha256').update(certificate.der).digest('hex')
    const known = this.#find((each) => each.kind === 'certificate' && each.sha256 === sha256)
    if (known !== null)
      throw new HubError('precondition-failed', `This certificate is the one of operator '${known.operator.name}'.`)
    const { subject, expires } = certificate
    const credential: OperatorCredential = {
      kind: 'certificate',
      id: this.#newId(),
      created: this.#clock.now(),
      expires,
      madeBy,
      sha256,
      subject,
    }
    if (this.mayApprove(name)) await this.#noteSecondPerson(name)
    await this.#addCredential(name, credential)
    return credential
  }

  /** Ends an operator, or one credential of his, at once. */
  async revoke(name: string, credentialId?: string): Promise<void> {
    const operator = this.get(name)
    if (credentialId !== undefined && !operator.credentials.some(({ id }) => id === credentialId))
      throw new HubError('operation-not-found', `Operator '${name}' has no credential '${printable(credentialId)}'.`)
    await this.#change((operators) =>
      credentialId === undefined
        ? operators.filter((each) => each.name !== name)
        : operators.map((each) =>
            each.name === name
              ? { ...each, credentials: each.credentials.filter(({ id }) => id !== credentialId) }
              : each,
          ),
    )
  }

  #newToken(expires: number | null, madeBy: string): IssuedToken {
    const id = this.#newId()
    const token = `${TOKEN_PREFIX}${id}_${Buffer.from(this.#random.bytes(TOKEN_BYTES)).toString('base64url')}`
    const made = { id, created: this.#clock.now(), expires, madeBy }
    return { token, credential: { kind: 'token', ...made, sha256: digestOf(token) } }
  }

  async #noteSecondPerson(name: string): Promise<void> {
    if (this.#hadSecondPerson) return
    await this.#settings.put(SECOND_PERSON, name)
    this.#hadSecondPerson = true
  }

  #newId(): string {
    return Buffer.from(this.#random.bytes(ID_BYTES)).toString('hex')
  }

  #addCredential(name: string, credential: OperatorCredential): Promise<void> {
    const now = this.#clock.now()
    if (credential.expires !== null && credential.expires <= now)
      throw new HubError('argument-invalid', 'A credential that is over already lets nobody in.')
    return this.#change((operators) => {
      const { credentials } = this.get(name)
      const living = credentials.filter((each) => isLiving(each, now))
      if (living.length >= MAX_CREDENTIALS)
        throw new HubError('argument-invalid', `'${name}' has ${MAX_CREDENTIALS} credentials: revoke one first.`)
      return operators.map((each) => (each.name === name ? { ...each, credentials: [...living, credential] } : each))
    })
  }

  #byDigest(kind: OperatorCredential['kind'], sha256: string): AuthenticatedOperator | LogInFailure | null {
    const found = this.#find((each) => each.kind === kind && each.sha256 === sha256)
    if (found === null) return null
    const { operator, credential } = found
    // A certificate has dates of its own, which are judged with the rest of it.
    if (kind === 'token' && !isLiving(credential, this.#clock.now()))
      return { rule: 'token-expired', principal: operator.name }
    return { name: operator.name, role: operator.role, method: kind, credential }
  }

  #find(
    test: (credential: OperatorCredential) => boolean,
  ): { operator: Operator; credential: OperatorCredential } | null {
    for (const operator of this.#operators) {
      const credential = operator.credentials.find(test)
      if (credential !== undefined) return { operator, credential }
    }
    return null
  }

  /** One change after another; memory follows the registry. */
  #change(make: (operators: readonly Operator[]) => readonly Operator[]): Promise<void> {
    const done = this.#afterOthers(make)
    this.#writing = done.catch(() => {})
    return done
  }

  async #afterOthers(make: (operators: readonly Operator[]) => readonly Operator[]): Promise<void> {
    await this.#writing
    const changed = make(this.#operators)
    await this.#settings.put(OPERATORS, JSON.stringify(changed))
    const before = this.#operators
    this.#operators = changed
    for (const { name, credentials } of before) {
      for (const credential of credentials)
        if (this.#find(({ id }) => id === credential.id) === null) this.#onLoss(groundOf({ name, credential }))
    }
  }
}

/** What a request that goes on by this log-in rests on. */
export function groundOf({ name, credential }: Pick<AuthenticatedOperator, 'name' | 'credential'>): Ground {
  return operatorGround(name, credential?.id ?? 'token')
}

/** Whether he could approve by a log-in that whoever made him does not have. */
function isIndependent({ name, role, credentials }: Operator): boolean {
  const isOwn = credentials.some(({ kind, madeBy }) => kind === 'certificate' || madeBy === name)
  return isOwn && roleMay(role, 'approvals.decide')
}

function isLiving({ expires }: OperatorCredential, now: number): boolean {
  return expires === null || expires > now
}

function digestOf(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex')
}
