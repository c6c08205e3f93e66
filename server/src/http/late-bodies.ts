import type { FastifyRequest } from 'fastify'
import type { RequestStep, Routes } from './routes.ts'

/**
 * Whoever is let in by the head of a request may keep its body back for as long as a request may take, and lose his trust
 * meanwhile: he is judged again once it is all there, before anything is done. So no request holds its verdict beyond the turn
 * that judged it, and none need be told when it is lost; those that wait for what comes later are `Followers`. To be called
 * before the first route is added.
 */
export function judgeLateBodies(app: Routes): void {
  const late = new WeakSet<FastifyRequest>()
  app.addHook('onRoute', (route) => {
    const { access } = route.config ?? {}
    if (access === undefined || access.kind === 'everybody') return
    // Each route that lets in only some has the one step that says whom.
    const judge = route.onRequest as RequestStep
    const first: RequestStep = async (request) => {
      await judge(request)
      if (!request.raw.complete) late.add(request)
    }
    const again: RequestStep = async (request) => {
      if (late.delete(request)) await judge(request)
    }
    Object.assign(route, { onRequest: first, preValidation: again })
  })
}
