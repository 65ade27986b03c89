"""Every setting of AMDA, read from the environment, in the order an operator needs them.

A development run keeps its own values in ``AMDA_DATA_DIR/development.env``; values of the
environment win. A wrong or missing value is refused here, by name.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from amda import database, embedded

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("AMDA_DATA_DIR") or BASE_DIR / "var").expanduser().resolve()

env = environ.Env()
environ.Env.read_env(DATA_DIR / "development.env")


def _read(cast, name, default=environ.Env.NOTSET):
    """The value of a variable, or a refusal that names it."""
    try:
        return cast(name, default=default)
    except (ValueError, TypeError, ImproperlyConfigured) as exc:
        raise ImproperlyConfigured(
            f"{name} is missing or wrong: {exc}. See .env.example; "
            "`make run` writes what a development run needs."
        ) from exc


def _yes_or_no(name, default):
    """A switch. `env.bool` would take any word it does not know for no."""
    written = env.str(name, default="").strip().lower()
    if not written:
        return default
    if written not in {"1", "true", "yes", "on", "0", "false", "no", "off"}:
        raise ValueError("it must be true or false")
    return written in {"1", "true", "yes", "on"}


def _in_range(name, value, low, high):
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name} is {value}; it must be from {low} to {high}.")
    return value


# What kind of run is this

DEBUG = _read(_yes_or_no, "DEBUG", False)
ENVIRONMENT = _read(env.str, "ENVIRONMENT", "development" if DEBUG else "production")
PORT = _in_range("PORT", _read(env.int, "PORT", 8000), 1, 65535)
RELEASE = "0.1.0"

# Secrets: the first field key encrypts, all of them decrypt

SECRET_KEY = _read(env.str, "SECRET_KEY")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SECRET_KEY is too short: use 50 random characters or more.")

FIELD_KEYS = [key for key in _read(env.list, "FIELD_KEYS") if key]
if not FIELD_KEYS:
    raise ImproperlyConfigured("FIELD_KEYS is empty: it must hold at least one Fernet key.")
for _position, _key in enumerate(FIELD_KEYS, start=1):
    try:
        Fernet(_key)
    except ValueError as exc:
        raise ImproperlyConfigured(
            f"FIELD_KEYS: key {_position} is not a Fernet key (32 bytes, base64)."
        ) from exc

# Addresses: where people and providers reach us

PUBLIC_URL = _read(env.str, "PUBLIC_URL", f"http://localhost:{PORT}").rstrip("/")
_public = urlsplit(PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname or _public.path:
    raise ImproperlyConfigured("PUBLIC_URL must look like https://amda.example.org.")
PUBLIC_HOST = _public.hostname
PUBLIC_SCHEME = _public.scheme
PUBLIC_PORT = f":{_public.port}" if _public.port else ""
TENANT_HOST_SUFFIX = _read(env.str, "TENANT_HOST_SUFFIX", f".{PUBLIC_HOST}")
ALLOWED_HOSTS = [
    PUBLIC_HOST,
    TENANT_HOST_SUFFIX,
    *(["127.0.0.1", "[::1]", "testserver"] if DEBUG else []),
    *_read(env.list, "ALLOWED_HOSTS", []),
]
CSRF_TRUSTED_ORIGINS = [
    f"{PUBLIC_SCHEME}://{PUBLIC_HOST}{PUBLIC_PORT}",
    f"{PUBLIC_SCHEME}://*{TENANT_HOST_SUFFIX}{PUBLIC_PORT}",
]

# Database: the embedded PostgreSQL unless DATABASE_URL names another

DATABASE_URL = _read(env.str, "DATABASE_URL", "")
_pool_size = _in_range("DATABASE_POOL_SIZE", _read(env.int, "DATABASE_POOL_SIZE", 12), 10, 200)
DATABASES = {
    "default": {
        **(env.db("DATABASE_URL") if DATABASE_URL else embedded.connection_settings(DATA_DIR)),
        "ENGINE": "django_tenants.postgresql_backend",
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "amda",
            "connect_timeout": 5,
            "pool": {
                "min_size": 0,
                "max_size": _pool_size,
                "timeout": 5,
                "reconnect_timeout": 2,
                "max_lifetime": 600,
                "max_idle": 120,
            },
        },
    }
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Applications: shared ones live in `public`, tenant ones in every tenant's schema

SHARED_APPS = [
    "tenants",
    "unfold",  # before django_tenants, whose admin pages would win
    "django_tenants",
    "tenants.accounts",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "daphne",
    "whitenoise.runserver_nostatic",
    "amda.apps.StaticFiles",
    "django.contrib.admin",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "procrastinate.contrib.django",
    "channels",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "billing",
    "amda",
]
TENANT_APPS = [
    "tenants.accounts",
    "django.contrib.sessions",
    "allauth.account",
    "allauth.mfa",
    "messaging",
    "alerts",
]
INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_LIMIT_SET_CALLS = True
PUBLIC_SCHEMA_NAME = "public"
ROOT_URLCONF = "amda.urls_tenant"
PUBLIC_SCHEMA_URLCONF = "amda.urls_public"
ASGI_APPLICATION = "amda.asgi.application"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tenants.middleware.database_away",
    "amda.security.content_security_policy",
    "tenants.middleware.enter_tenant",
    "tenants.audit.request_origin",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenants.accounts.middleware.bind_session",
    "django.middleware.locale.LocaleMiddleware",
    "tenants.accounts.middleware.speak_users_language",
    "tenants.accounts.middleware.lead_to_second_step",
    "tenants.accounts.middleware.show_suspension",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "tenants.middleware.tell_limits",
    "amda.stack.middleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "amda.context_processors.product",
            ],
        },
    }
]

# Signing in

AUTH_USER_MODEL = "accounts.User"
# E-mail addresses are unique without case, by a constraint the check does not know.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "tenants.accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_USER_MODEL_EMAIL_FIELD = "email"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "tenants.accounts.tokens.PasswordResetTokens"  # noqa: S105
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": _read(env.str, "LOGIN_FAILED_LIMIT", "10/m/ip,5/5m/key"),
    "reset_password": "20/m/ip,5/m/key",
    "join": "30/m/ip",
}
MFA_ADAPTER = "tenants.accounts.second_step.SecondStepAdapter"
MFA_FORMS = {
    "authenticate": "tenants.accounts.forms.SecondStepForm",
    "reauthenticate": "tenants.accounts.forms.SecondStepAgainForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# One step either way for a phone whose clock is a little off.
MFA_TOTP_TOLERANCE = 1
# Nobody signs up by themselves: every address was invited, or given by staff.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG
STAFF_REQUIRE_MFA = _read(_yes_or_no, "STAFF_REQUIRE_MFA", not DEBUG)
INVITATION_DAYS = _in_range("INVITATION_DAYS", _read(env.int, "INVITATION_DAYS", 7), 1, 30)
SESSION_COOKIE_NAME = "amda_session"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "amda_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
ACCESS_TOKEN_DAYS = _in_range("ACCESS_TOKEN_DAYS", _read(env.int, "ACCESS_TOKEN_DAYS", 7), 1, 365)
REFRESH_TOKEN_DAYS = _in_range(
    "REFRESH_TOKEN_DAYS", _read(env.int, "REFRESH_TOKEN_DAYS", 30), 1, 365
)

# Languages and time

LANGUAGE_CODE = "fr"
LANGUAGES = [("fr", _("French")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "amda_language"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_TIME_ZONE = _read(env.str, "DEFAULT_TIME_ZONE", "Europe/Paris")
DEFAULT_COUNTRY = _read(env.str, "DEFAULT_COUNTRY", "FR").upper()

# Files

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files of messages are private: they are answered by us, after a look at who asks.
MEDIA_CDN_URL = _read(env.str, "MEDIA_CDN_URL", "").rstrip("/")
if MEDIA_CDN_URL and not MEDIA_CDN_URL.startswith("https://"):
    raise ImproperlyConfigured("MEDIA_CDN_URL must look like https://cdn.example.org.")
S3_BUCKET = _read(env.str, "S3_BUCKET", "")
STORAGES = {
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": _read(env.str, "S3_ENDPOINT_URL", "") or None,
            "region_name": _read(env.str, "S3_REGION", "") or None,
            "access_key": _read(env.str, "S3_ACCESS_KEY_ID", "") or None,
            "secret_key": _read(env.str, "S3_SECRET_ACCESS_KEY", "") or None,
            "default_acl": None,
            "file_overwrite": True,
            "querystring_auth": True,
        },
    }
    if S3_BUCKET
    else {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": DATA_DIR / "files",
            "allow_overwrite": True,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "amda.statics.HashedStatics",
    },
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

# Mail: a page of the public host shows what a development run would have sent

EMAIL_URL = _read(env.str, "EMAIL_URL", "")
if EMAIL_URL:
    vars().update(env.email("EMAIL_URL"))
else:
    EMAIL_BACKEND = "amda.mailbox.FolderBackend"
MAILBOX_DIR = DATA_DIR / "mail"
DEFAULT_FROM_EMAIL = _read(env.str, "DEFAULT_FROM_EMAIL", f"AMDA <noreply@{PUBLIC_HOST}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Cache, live events, jobs: PostgreSQL, or Redis where one is named

REDIS_URL = _read(env.str, "REDIS_URL", "")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache"
        if REDIS_URL
        else "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": REDIS_URL or "amda_cache",
        "KEY_FUNCTION": "tenants.context.cache_key",
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
    if REDIS_URL
    else {
        "BACKEND": "amda.channel_layer.PostgresFanoutLayer",
        "CONFIG": {"dsn": database.dsn, "channel": "amda_live", "capacity": 100},
    }
}
PROCRASTINATE_ON_APP_READY = "amda.jobs.on_app_ready"

# Providers

WEBHOOK_MAX_BYTES = 5 * 1024 * 1024
DELIVERY_RETENTION_DAYS = _in_range(
    "DELIVERY_RETENTION_DAYS", _read(env.int, "DELIVERY_RETENTION_DAYS", 30), 1, 30
)
DELIVERY_ATTEMPTS = 3
DELIVERY_BACKOFF_SECONDS = (2, 4, 8)
# Hosts that an instance's api_url may name although they are not public addresses.
PRIVATE_API_HOSTS = _read(
    env.list, "PRIVATE_API_HOSTS", ["127.0.0.1", "localhost", "::1"] if DEBUG else []
)
SANDBOX_ENABLED = _read(_yes_or_no, "SANDBOX_ENABLED", DEBUG)
SANDBOX_PORT = _in_range("SANDBOX_PORT", _read(env.int, "SANDBOX_PORT", PORT + 1), 1, 65535)
# One Meta app for every vendor that has none of its own.
META_APP_SECRET = _read(env.str, "META_APP_SECRET", "")
META_VERIFY_TOKEN = _read(env.str, "META_VERIFY_TOKEN", "")
_platform_secrets = {
    "whatsapp_cloud": {"app_secret": META_APP_SECRET, "verify_token": META_VERIFY_TOKEN}
}
# What verifies posts to instances that have no such secret of their own.
PLATFORM_SECRETS = {
    slug: known
    for slug, all_of_it in _platform_secrets.items()
    if (known := {name: secret for name, secret in all_of_it.items() if secret})
}
WASENDER_API_URL = _read(env.str, "WASENDER_API_URL", "https://www.wasenderapi.com/api")
WASENDER_API_KEY = _read(env.str, "WASENDER_API_KEY", "")

# Operating

# The script that makes backups touches it; migrating in production wants it recent.
BACKUP_STAMP = Path(_read(env.str, "BACKUP_STAMP", str(DATA_DIR / "backup.stamp")))

# Billing: without a secret key nothing is sold and every vendor has everything

STRIPE_SECRET_KEY = _read(env.str, "STRIPE_SECRET_KEY", "")
# Several while a secret is being replaced; each of them verifies.
STRIPE_WEBHOOK_SECRETS = [
    secret for secret in _read(env.list, "STRIPE_WEBHOOK_SECRET", []) if secret
]
STRIPE_PRICE_ID_MONTHLY = _read(env.str, "STRIPE_PRICE_ID_MONTHLY", "")
STRIPE_PRICE_ID_YEARLY = _read(env.str, "STRIPE_PRICE_ID_YEARLY", "")
STRIPE_PAYMENT_METHODS = _read(env.list, "STRIPE_PAYMENT_METHODS", ["card", "sepa_debit"])
STRIPE_TAX = _read(_yes_or_no, "STRIPE_TAX", False)
STRIPE_API_URL = _read(env.str, "STRIPE_API_URL", "https://api.stripe.com").rstrip("/")
# The shapes we read are this version's, whatever version the account or the library is at.
STRIPE_API_VERSION = "2026-10-28.endive"
BILLING_GRACE_DAYS = _in_range("BILLING_GRACE_DAYS", _read(env.int, "BILLING_GRACE_DAYS", 7), 0, 90)

# Behind a proxy, and hardening wherever DEBUG is off

if _read(_yes_or_no, "TRUST_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # The proxy adds the caller's address last; without this everybody shares one rate limit.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
SECURE_SSL_REDIRECT = not DEBUG and _read(_yes_or_no, "SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^health/ready$", r"^api/health$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else _read(env.int, "HSTS_SECONDS", 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG
SECURE_HSTS_PRELOAD = not DEBUG
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.api.authentication.BearerAuthentication",
        "tenants.api.authentication.TenantSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tenants.permissions.RoleAllows"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tenants.api.errors.answer",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AMDA",
    "DESCRIPTION": "Leads, conversations and messages of one tenant.",
    "VERSION": RELEASE,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
}

# Logs: levels first, so that whoever watches them can filter; ids only, never content

LOG_LEVEL = _read(env.str, "LOG_LEVEL", "info").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        "procrastinate": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "daphne": {"level": "WARNING"},
    },
}

METRICS_TOKEN = _read(env.str, "METRICS_TOKEN", "")
SENTRY_DSN = _read(env.str, "SENTRY_DSN", "")

# Admin

UNFOLD = {
    "SITE_TITLE": "AMDA",
    "SITE_HEADER": "AMDA",
    "SITE_URL": None,
    "STYLES": [lambda request: static("staff.css")],
    "SCRIPTS": [lambda request: static("js/staff.js")],
    "ACCOUNT": {
        "navigation": [{"title": _("Your account"), "link": reverse_lazy("account_home")}],
    },
    "COLORS": {
        "primary": {
            "50": "236 250 245",
            "100": "209 243 229",
            "200": "166 231 205",
            "300": "112 212 174",
            "400": "59 184 141",
            "500": "24 152 113",
            "600": "11 107 80",
            "700": "10 92 70",
            "800": "11 73 57",
            "900": "10 60 48",
            "950": "4 34 28",
        }
    },
}
