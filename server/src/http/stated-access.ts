import type { FastifyRequest } from 'fastify'
import type { Actor } from '../audit/entry.ts'
import { HubError } from '../errors.ts'
import type { HubRight, ProvisioningRight } from '../model/access-policy.ts'
import type { OperatorRight } from '../model/operator.ts'
import type { RequestStep, Routes } from './routes.ts'

/** What a route does that must be accounted for. */
export interface Act {
  /** e.g. `authority.delete`. */
  readonly name: string
  /** The state that it is about to change, for the record. */
  readonly before?: (params: Readonly<Record<string, string>>, request: FastifyRequest) => Promise<unknown>
}

/** Who a route lets in: each route says it, and is not served otherwise. */
export type StatedAccess =
  | { readonly kind: 'operator'; readonly right: OperatorRight; readonly act?: Act }
  | { readonly kind: 'hub-policy'; readonly right: HubRight; readonly act?: Act }
  | { readonly kind: 'provisioning-policy'; readonly right: ProvisioningRight; readonly act?: Act }
  /** The device that the path names. */
  | { readonly kind: 'device' }
  | { readonly kind: 'everybody' }

/** What a route takes into its options to be for holders of an access policy. */
export interface PolicyRoute {
  readonly onRequest: RequestStep
  readonly config: { readonly access: StatedAccess }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly access?: StatedAccess
  }
}

/** What stands under each of these names before an act; a name under which nothing stands is left out. */
export async function statesOf(
  names: readonly string[],
  stateOf: (name: string) => Promise<unknown>,
): Promise<readonly unknown[]> {
  const states = await Promise.all(names.map((name) => stateOrNull(() => stateOf(name))))
  return states.filter((state) => state !== null)
}

/** What stands before an act; what cannot be loaded is not there, or is judged by the act itself. */
export async function stateOrNull(load: () => Promise<unknown>): Promise<unknown> {
  try {
    return (await load()) ?? null
  } catch (error) {
    if (error instanceof HubError && error.code !== 'internal') return null
    throw error
  }
}

export const FOR_EVERYBODY = { access: { kind: 'everybody' } } as const
export const FOR_DEVICES = { access: { kind: 'device' } } as const

/** Refuses a route that does not say whom it lets in. To be called before the first route is added. */
export function demandStatedAccess(app: Routes): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === undefined)
      throw new HubError('internal', `The route ${String(method)} ${url} does not say whom it lets in.`)
  })
}

const actors = new WeakMap<FastifyRequest, Actor>()

export function letIn(request: FastifyRequest, actor: Actor): void {
  actors.set(request, actor)
}

/** Whom the request was let in as. */
export function actorOf(request: FastifyRequest): Actor {
  const actor = actors.get(request)
  if (actor === undefined) throw new HubError('internal', 'This route lets requests in without asking who they are.')
  return actor
}
