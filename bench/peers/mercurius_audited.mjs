// Fastify + Mercurius with its just-in-time compiler, doing the work that ours does: sign-in, audit, log.
import Fastify from 'fastify'
import mercurius from 'mercurius'
import jwt from '@fastify/jwt'
import { audit, createResolvers, schema, secret, viewerOf } from './accounts.mjs'
const app = Fastify({ logger: { level: 'info' } })
app.register(jwt, { secret, verify: { allowedIss: 'https://issuer.invalid', allowedAud: 'accounts', cache: 2000 } })
app.register(mercurius, { schema, resolvers: createResolvers(audit), jit: 1, path: '/graphql', queryDepth: 12, context: async (request) => { await request.jwtVerify(); return { user: viewerOf(request.user), requestId: request.id, ip: request.ip } } })
await app.listen({ port: +process.env.PORT, host: '127.0.0.1' })
