import type { FastifyInstance, FastifyRequest } from 'fastify'
import { beginWork, endWork, type Work, within } from '../runtime/measures.js'

/** Asked every few seconds, by machines. */
const PROBES = new Set(['/health', '/ready', '/metrics'])

/**
 * Tells of each request that was let in and found a route: by the route, not by the path, since that has
 * account numbers. Begins behind the guard and behind the body, whose events are nobody's work.
 */
export function addMeasures(server: FastifyInstance): void {
  const works = new WeakMap<FastifyRequest, Work>()
  server.addHook('preHandler', (request, _reply, done) => {
    const { url } = request.routeOptions
    const isTold = url !== undefined && !PROBES.has(url)
    const work = isTold ? beginWork('request', `${request.method} ${url}`) : undefined
    if (work !== undefined) works.set(request, work)
    within(work, done)
  })
  server.addHook('onResponse', async (request, reply) => {
    const { statusCode: outcome, elapsedTime: ms } = reply
    endWork(works.get(request), { ms, outcome, isFailed: outcome >= 500 })
  })
}
