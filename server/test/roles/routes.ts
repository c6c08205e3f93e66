import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import type { StatedAccess } from '../../src/http/stated-access.ts'
import { startServer } from '../http/running-server.ts'
import type { RunningServer } from '../http/running-server.ts'

export interface Route {
  readonly method: string
  readonly url: string
  readonly access: StatedAccess | undefined
}

/** A server, and its routes as the framework was given them, also those that no document names. */
export async function startWithRoutes(
  t: TestContext,
  settings: object = {},
): Promise<{ server: RunningServer; routes: readonly Route[] }> {
  const routes: Route[] = []
  const listen = (message: unknown): void => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', ({ method, url, config }) => {
      for (const each of [method].flat()) routes.push({ method: each, url, access: config?.access })
    })
  }
  subscribe('fastify.initialization', listen)
  const server = await startServer(t, {}, { settings })
  unsubscribe('fastify.initialization', listen)
  return { server, routes }
}
