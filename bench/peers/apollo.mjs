// Apollo Server on Fastify, doing the work that ours does: sign-in, audit, log.
import Fastify from 'fastify'
import { ApolloServer } from '@apollo/server'
import { fastifyApolloHandler, fastifyApolloDrainPlugin } from '@as-integrations/fastify'
import jwt from '@fastify/jwt'
import { audit, createResolvers, schema, secret, viewerOf } from './accounts.mjs'
const app = Fastify({ logger: { level: 'info' } })
app.register(jwt, { secret, verify: { allowedIss: 'https://issuer.invalid', allowedAud: 'accounts', cache: 2000 } })
const apollo = new ApolloServer({ typeDefs: schema, resolvers: createResolvers(audit), plugins: [fastifyApolloDrainPlugin(app)] })
await apollo.start()
app.route({ url: '/graphql', method: ['GET', 'POST'], handler: fastifyApolloHandler(apollo, { context: async (request) => { await request.jwtVerify(); return { user: viewerOf(request.user), requestId: request.id, ip: request.ip } } }) })
await app.listen({ port: +process.env.PORT, host: '127.0.0.1' })
