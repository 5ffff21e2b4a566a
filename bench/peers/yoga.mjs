// GraphQL Yoga, doing the work that ours does: sign-in, audit, log.
import { createServer } from 'node:http'
import { createYoga, createSchema } from 'graphql-yoga'
import { createVerifier } from 'fast-jwt'
import { randomUUID } from 'node:crypto'
import { audit, createResolvers, schema, secret, viewerOf } from './accounts.mjs'
const verify = createVerifier({ key: secret, allowedIss: 'https://issuer.invalid', allowedAud: 'accounts', cache: 2000 })
const yoga = createYoga({ schema: createSchema({ typeDefs: schema, resolvers: createResolvers(audit) }), logging: false, context: ({ request, req }) => {
  const claims = verify(request.headers.get('authorization').slice(7))
  const requestId = randomUUID()
  process.stdout.write(JSON.stringify({ level: 30, time: Date.now(), requestId, msg: 'request completed' }) + '\n')
  return { user: viewerOf(claims), requestId, ip: req.socket.remoteAddress } } })
createServer(yoga).listen(+process.env.PORT, '127.0.0.1')
