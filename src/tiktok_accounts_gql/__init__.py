"""GraphQL API server with which an app's users manage the TikTok accounts they have connected."""
