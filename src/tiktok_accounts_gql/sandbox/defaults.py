"""Default options of a sandbox. Lifetimes are those that TikTok documents today."""

ACCESS_TOKEN_SECONDS = 2 * 60 * 60
REFRESH_TOKEN_SECONDS = 180 * 24 * 60 * 60
REQUESTS_PER_MINUTE = 600
