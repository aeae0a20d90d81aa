"""A tenant's rate as response headers (draft-ietf-httpapi-ratelimit-headers: structured fields)."""


def rate_headers(quota: int, window_s: int, remaining: int, reset_s: int) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`; seconds throughout."""
    return {
        "RateLimit-Policy": f'"submissions";q={quota};w={window_s}',
        "RateLimit": f'"submissions";r={remaining};t={reset_s}',
    }
