"""What a page may load and talk to: strict for tenants, one looser policy each where needed."""

from django.conf import settings

STRICT = {
    "default-src": ["'self'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:", "blob:"],
    "media-src": ["'self'", "blob:"],
    "font-src": ["'self'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}

# The admin's theme runs Alpine, which evaluates attributes, and sets styles inline.
ADMIN = {
    **STRICT,
    "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}

# Swagger's page starts itself from an inline script and draws with inline styles.
API_DOCS = {
    **STRICT,
    "script-src": ["'self'", "'unsafe-inline'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}

LOOSER = (("/admin/", ADMIN), ("/api/docs/", API_DOCS))


def content_security_policy(get_response):
    """Send every answer with the policy of its address; a view's own policy is kept."""

    def middleware(request):
        response = get_response(request)
        if response.status_code == 400:
            return response
        response.headers.setdefault("Content-Security-Policy", policy_for(request))
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), payment=()")
        return response

    return middleware


def policy_for(request) -> str:
    """The policy of a request's address, its own websocket included."""
    rules = next((rules for start, rules in LOOSER if request.path.startswith(start)), STRICT)
    sources = {**_with_cdn(rules), "connect-src": ["'self'", _socket_origin(request)]}
    return "; ".join(f"{name} {' '.join(values)}" for name, values in sources.items())


def _with_cdn(rules: dict[str, list[str]]) -> dict[str, list[str]]:
    """Pictures, sound and films may come from the delivery network, if one is set."""
    if not settings.MEDIA_CDN_URL:
        return rules
    return {
        **rules,
        "img-src": [*rules["img-src"], settings.MEDIA_CDN_URL],
        "media-src": [*rules["media-src"], settings.MEDIA_CDN_URL],
    }


def _socket_origin(request) -> str:
    # Safari before 15.4 does not count a page's own websocket as 'self'.
    return f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
