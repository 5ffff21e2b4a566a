// What all peers of Node share: the contract, the statements, and the work that ours does besides: a verified JWT (kept), one durable
// audit row and one line of log for each request. Needs: pg.
import pg from 'pg'
import { randomUUID } from 'node:crypto'
export const pool = new pg.Pool({ connectionString: process.env.PEERS_DATABASE_URL, max: 10 })
const base64 = (text) => Buffer.from(text).toString('base64')
const columns = 'id, username, display_name, avatar_url, status, follower_count, following_count, video_count, last_synced_at, created_at'
export const schema = `
  enum AccountStatus { ACTIVE INACTIVE EXPIRED }
  type TikTokAccount { id: ID! username: String! displayName: String! avatarUrl: String status: AccountStatus! followerCount: Int!
    followingCount: Int! videoCount: Int! lastSyncedAt: String createdAt: String! }
  type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
  type AccountEdge { cursor: String! node: TikTokAccount! }
  type AccountConnection { edges: [AccountEdge!]! pageInfo: PageInfo! totalCount: Int! }
  type Query { accounts(first: Int = 20, after: String): AccountConnection! }`
export const audit = (viewer, requestId, ip, count) => pool.query({ name: 'audit', text: 'insert into audit_event (id, viewer_id, action, is_change, created_at, actor, request_id, ip_address, details) values ($1,$2,$3,$4,$5,$6,$7,$8,$9)',
  values: [randomUUID(), viewer, 'ACCOUNTS_LISTED', false, new Date(), 'USER', requestId, ip, JSON.stringify([{ name: 'count', value: String(count), previousValue: null }])] })
// `audit`: what is written for each list.
export const createResolvers = (audit) => ({
  Query: {
    accounts: async (_, { first, after }, { user, requestId, ip }) => {
      const values = [user, first + 1]
      let position = ''
      if (after) { values.push(...Buffer.from(after, 'base64').toString().split('|')); position = 'and (created_at, id) < ($3, $4)' }
      const { rows } = await pool.query({ name: after ? 'page-after' : 'page',
        text: `select ${columns} from tiktok_account where user_id = $1 and not is_deleted ${position} order by created_at desc, id desc limit $2`, values })
      const hasNextPage = rows.length > first
      if (hasNextPage) rows.pop()
      const edges = rows.map((node) => ({ cursor: base64(`${node.created_at.toISOString()}|${node.id}`), node }))
      await audit(user, requestId, ip, edges.length)
      return { edges, user, pageInfo: { hasNextPage, hasPreviousPage: !!after, startCursor: edges[0]?.cursor, endCursor: edges.at(-1)?.cursor } }
    }
  },
  AccountConnection: { totalCount: async ({ user }) => +(await pool.query({ name: 'count', text: 'select count(*) from tiktok_account where user_id = $1 and not is_deleted', values: [user] })).rows[0].count },
  TikTokAccount: {
    id: (row) => base64('TikTokAccount:' + row.id), displayName: (row) => row.display_name, avatarUrl: (row) => row.avatar_url,
    status: (row) => row.status.toUpperCase(), followerCount: (row) => +row.follower_count, followingCount: (row) => +row.following_count,
    videoCount: (row) => +row.video_count, lastSyncedAt: (row) => row.last_synced_at?.toISOString(), createdAt: (row) => row.created_at.toISOString()
  }
})
export const secret = process.env.JWT_SECRET
export const viewerOf = (claims) => +claims.sub.split('-')[1] + 1
