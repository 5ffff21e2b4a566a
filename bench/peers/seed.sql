-- The peers' accounts, and the audit of those that write one: as many viewers, and accounts of each, as are put in place of the two marks.
create table tiktok_account (
  id bigint generated always as identity primary key, user_id bigint not null, username text not null,
  display_name text not null, avatar_url text, status text not null, follower_count bigint not null,
  following_count bigint not null, video_count bigint not null, last_synced_at timestamptz,
  is_deleted boolean not null default false, created_at timestamptz not null);
create table audit_event (
  id uuid primary key, viewer_id text not null, action text not null, is_change boolean not null, created_at timestamptz not null,
  actor text not null, request_id text, ip_address text, details jsonb not null);
-- then
insert into tiktok_account (user_id, username, display_name, avatar_url, status, follower_count, following_count,
  video_count, last_synced_at, created_at)
select u, 'user_' || substr(md5((u * 7919 + a)::text), 1, 10), 'Display ' || substr(md5((u * 31 + a)::text), 1, 8),
  'https://example.invalid/avatar/' || md5(a::text) || '.jpeg',
  (array['active', 'active', 'active', 'inactive', 'expired'])[1 + a %% 5], (a * 7919) %% 1000000, a %% 5000, a %% 900,
  now() - (a || ' minutes')::interval, now() - ((a * 37 %% 100000) || ' seconds')::interval
from generate_series(1, %s) u, generate_series(1, %s) a;
-- then
create index audit_by_viewer on audit_event (viewer_id, created_at desc, id desc);
create index by_viewer on tiktok_account (user_id, created_at desc, id desc) where not is_deleted;
vacuum analyze tiktok_account;
