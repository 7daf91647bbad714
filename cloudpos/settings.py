"""The one settings file. Every value that a deployment may change is read here, typed, from the environment."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from cloudpos.environment import choice, email_url, env, origins, port, whole_number
from cloudpos.schedule import BEAT_SCHEDULE

BASE_DIR = Path(__file__).resolve().parent.parent
JWT_SECRET_BYTES_MIN = 32

environ.Env.read_env(BASE_DIR / ".env")

ENVIRONMENT = choice("ENVIRONMENT", ("development", "test", "production"), "development")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", False)
PORT = port("PORT", 3002)
LOG_LEVEL = choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
LOG_FORMAT = choice("LOG_FORMAT", ("json", "console"), "json")
PUBLIC_URL = env.str("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
# Of links in text messages, where a shorter name leads here too.
SHORT_URL = env.str("SHORT_URL", "").rstrip("/") or PUBLIC_URL

if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG must be off when ENVIRONMENT=production")

# --- Secrets ------------------------------------------------------------------------------------------------

# Known to everybody who reads this file, hence refused in production.
DEVELOPMENT_SECRET = "development-only-secret-that-production-refuses"  # noqa: S105  # not a secret
JWT_SECRET = env.str("JWT_SECRET", "")
if PRODUCTION and JWT_SECRET == DEVELOPMENT_SECRET:
    raise ImproperlyConfigured("JWT_SECRET must not be the published development secret in production")
if PRODUCTION and len(JWT_SECRET.encode()) < JWT_SECRET_BYTES_MIN:
    raise ImproperlyConfigured(
        f"JWT_SECRET must be set to at least {JWT_SECRET_BYTES_MIN} bytes in production"
    )
if not PRODUCTION and not JWT_SECRET:
    JWT_SECRET = DEVELOPMENT_SECRET
SECRET_KEY = env.str("SECRET_KEY", JWT_SECRET)
# Fernet keys derive from these; the first encrypts, all decrypt, so that a key can be rotated.
ENCRYPTION_SECRETS = env.list("ENCRYPTION_SECRETS", default=[SECRET_KEY])

# --- Engines ------------------------------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", "")
REDIS_URL = env.str("REDIS_URL", "")
if PRODUCTION and not DATABASE_URL:
    raise ImproperlyConfigured(
        "DATABASE_URL must be set in production: the embedded engine is for development"
    )
if not PRODUCTION and (not DATABASE_URL or not REDIS_URL):
    from cloudpos import embedded

    DATABASE_URL = DATABASE_URL or embedded.database_url()
    REDIS_URL = REDIS_URL or embedded.redis_url()
if REDIS_URL == "none":
    REDIS_URL = ""

DATABASES = {"default": env.db_url_config(DATABASE_URL)}
_options = DATABASES["default"].setdefault("OPTIONS", {})
# A socket's folder comes as an option, which `manage.py dbshell` would not look at.
DATABASES["default"]["HOST"] = _options.pop("host", "") or DATABASES["default"]["HOST"]
_options["connect_timeout"] = 2
_options["application_name"] = "cloudpos"
# A database host that vanishes sends no farewell: without these a statement would wait for it for a quarter of an hour.
_options |= {"tcp_user_timeout": 5_000, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2}
# Bound everything: a statement that takes longer is a defect or an attack, and holds a till up.
STATEMENT_TIMEOUT_MS = whole_number("STATEMENT_TIMEOUT_MS", 5_000)
_options["options"] = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
)
# PostgreSQL takes longer to plan a look-up than to do it: a statement that a connection sends again and again is prepared
# (from this many times on; 0 is never, for a pooler that knows no prepared statements). See docs/adr/0010-hot-path.md.
_options["server_side_binding"] = True
_options["prepare_threshold"] = whole_number("DATABASE_PREPARE_AFTER", 5) or None
# A connection per thread, kept: threads are few, and a pool costs a tenth of a look-up.
DATABASES["default"]["ENGINE"] = "cloudpos.postgres"
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["ATOMIC_REQUESTS"] = False

if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "cloudpos",
            "OPTIONS": {
                "SOCKET_CONNECT_TIMEOUT": 0.3,
                "SOCKET_TIMEOUT": 0.5,
                # The cache never holds the truth: without it the service is slower, not down.
                "IGNORE_EXCEPTIONS": True,
            },
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- Application --------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "cloudpos.api",
    "cloudpos.tenancy",
    "cloudpos.jobs",
    "customers",
    "loyalty",
    "analytics",
    "marketing",
    "cloudpos.exports",
    "cloudpos",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "django.contrib.postgres",
    "cloudpos.tenancy.backoffice.apps.BackofficeConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "corsheaders",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "anymail",
]

MIDDLEWARE = [
    # Answers most API requests itself; the layers below are for pages and for browsers of other origins.
    "cloudpos.api.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "cloudpos.urls"
WSGI_APPLICATION = "cloudpos.wsgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenancy.User"

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
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
# Dates as the admin writes them everywhere: 22 Nov 2026, 15:04.
FORMAT_MODULE_PATH = "cloudpos.tenancy.locale_formats"
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False

# --- HTTP ---------------------------------------------------------------------------------------------------

ALLOWED_ORIGINS = origins("ALLOWED_ORIGINS", [] if PRODUCTION else ["http://localhost:3000"])
CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
CORS_URLS_REGEX = r"^/api/.*$"
CORS_ALLOW_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "x-request-id",
    "x-store-id",
)
CORS_EXPOSE_HEADERS = (
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-ID",
)
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
REQUEST_BODY_BYTES_MAX = 262_144
BATCH_BODY_BYTES_MAX = 1_048_576
JSON_DEPTH_MAX = 32

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
if PRODUCTION:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- REST API -----------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["cloudpos.tenancy.authentication.JwtAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["cloudpos.tenancy.permissions.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": ["cloudpos.api.rendering.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["cloudpos.api.parsing.StrictJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "cloudpos.api.schema.EnvelopeSchema",
    "EXCEPTION_HANDLER": "cloudpos.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "LIST_SERIALIZER_ERRORS_AS_DICT": True,
}

JWT_ISSUER = env.str("JWT_ISSUER", "cloudpos")
JWT_AUDIENCE = env.str("JWT_AUDIENCE", "cloudpos-customer-service")
# Issuers of the other CloudPOS services that sign with the same secret.
JWT_TRUSTED_ISSUERS = [JWT_ISSUER, *env.list("JWT_TRUSTED_ISSUERS", default=[])]
ACCESS_TOKEN_MINUTES = 15
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET,
    "ISSUER": JWT_ISSUER,
    "AUDIENCE": JWT_AUDIENCE,
    "USER_ID_CLAIM": "sub",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=ACCESS_TOKEN_MINUTES),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "CHECK_REVOKE_TOKEN": False,
}
# How long a revoked membership may still be honoured by a process that cached it (at most 30 s by contract).
ACCESS_CACHE_SECONDS = 15

# Requests per minute. A machine that replays a day's sales needs more than a person at a till.
RATE_LIMITS = {
    "anonymous": whole_number("RATE_LIMIT_ANONYMOUS", 300),
    "login": whole_number("RATE_LIMIT_LOGIN", 10),
    "user": whole_number("RATE_LIMIT_USER", 6_000),
    "service": whole_number("RATE_LIMIT_SERVICE", 60_000),
    # Openings and clicks of one address: mail programs fetch pictures for all their users from a few.
    "tracking": whole_number("RATE_LIMIT_TRACKING", 6_000),
}
IDEMPOTENCY_KEPT_DAYS = 7
# Points that anybody but an owner may adjust at once.
ADJUSTMENT_POINTS_MAX = whole_number("ADJUSTMENT_POINTS_MAX", 10_000)
# How many days before points are over an event says so; 0: never.
POINTS_EXPIRING_SOON_DAYS = whole_number("POINTS_EXPIRING_SOON_DAYS", 14)
# How many proxies in front of this service append to X-Forwarded-For; 0: callers connect to it directly.
TRUSTED_PROXY_COUNT = whole_number("TRUSTED_PROXY_COUNT", 0)
# Empty: /metrics is open to whoever can reach the port.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")

SPECTACULAR_SETTINGS = {
    "TITLE": "CloudPOS Customer Service",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["cloudpos.api.schema.finish", "marketing.segments.openapi.add_rule"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# Events of clients' own types are deleted so many days after they happened, when nothing is still to be done with them.
# 0: kept for ever. Ours stay: they are the history of customers, points and tiers.
EVENTS_KEPT_DAYS = whole_number("EVENTS_KEPT_DAYS", 0)

# --- E-mail -------------------------------------------------------------------------------------------------

# smtp://user:password@host:587, smtp+tls://, smtp+ssl:// ...; unset: mails are printed.
_EMAIL = email_url("EMAIL_URL", "consolemail://")
EMAIL_BACKEND = _EMAIL["EMAIL_BACKEND"]
EMAIL_HOST = _EMAIL.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = _EMAIL.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _EMAIL.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _EMAIL.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = bool(_EMAIL.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_EMAIL.get("EMAIL_USE_SSL"))
EMAIL_TIMEOUT = 10
EMAIL_FILE_PATH = f"/{_EMAIL['EMAIL_FILE_PATH']}" if _EMAIL.get("EMAIL_FILE_PATH") else None
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "CloudPOS <no-reply@localhost>")

# An e-mail service's API instead of SMTP, and what it reports back: django-anymail. By provider its names of the key, of the
# key that signs its reports (where it has one), and of the sending domain.
_EMAIL_SERVICES: dict[str, tuple[str, str, str]] = {
    "brevo": ("BREVO_API_KEY", "", ""),
    "mailgun": ("MAILGUN_API_KEY", "MAILGUN_WEBHOOK_SIGNING_KEY", "MAILGUN_SENDER_DOMAIN"),
    "postmark": ("POSTMARK_SERVER_TOKEN", "", ""),
    "resend": ("RESEND_API_KEY", "RESEND_SIGNING_SECRET", ""),
    "sendgrid": ("SENDGRID_API_KEY", "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY", ""),
    "sparkpost": ("SPARKPOST_API_KEY", "", ""),
}
EMAIL_PROVIDER = choice("EMAIL_PROVIDER", ("", *_EMAIL_SERVICES), "")
# user:password of the reports' URL. Without it no report is taken.
EMAIL_EVENTS_SECRET = env.str("EMAIL_EVENTS_SECRET", "")
ANYMAIL: dict[str, Any] = {"REQUESTS_TIMEOUT": (5, 15)}
if EMAIL_PROVIDER:
    EMAIL_BACKEND = f"anymail.backends.{EMAIL_PROVIDER}.EmailBackend"
    for _name, _value in zip(
        (*_EMAIL_SERVICES[EMAIL_PROVIDER], f"{EMAIL_PROVIDER.upper()}_API_URL"),
        (
            env.str("EMAIL_PROVIDER_KEY", ""),
            env.str("EMAIL_PROVIDER_SIGNING_KEY", ""),
            env.str("EMAIL_PROVIDER_DOMAIN", ""),
            # Another region's; or a stand-in's, for development.
            env.str("EMAIL_PROVIDER_URL", ""),
        ),
        strict=True,
    ):
        if _name and _value:
            ANYMAIL[_name] = _value
    if _EMAIL_SERVICES[EMAIL_PROVIDER][0] not in ANYMAIL:
        raise ImproperlyConfigured(f"EMAIL_PROVIDER={EMAIL_PROVIDER} needs EMAIL_PROVIDER_KEY")
if EMAIL_EVENTS_SECRET:
    if ":" not in EMAIL_EVENTS_SECRET or len(EMAIL_EVENTS_SECRET) < 16:
        raise ImproperlyConfigured("EMAIL_EVENTS_SECRET must be user:password, 16 characters or more")
    ANYMAIL["WEBHOOK_SECRET"] = EMAIL_EVENTS_SECRET

# --- Messages of campaigns ----------------------------------------------------------------------------------

# Where the providers' APIs are; changed only to try them against a stand-in.
TWILIO_URL = env.str("TWILIO_URL", "https://api.twilio.com").rstrip("/")
ONESIGNAL_URL = env.str("ONESIGNAL_URL", "https://api.onesignal.com").rstrip("/")
# What goes to the log instead of a provider is also kept here, one file a message. Empty: nowhere.
MESSAGES_FOLDER = env.str(
    "MESSAGES_FOLDER", str(BASE_DIR / ".data" / "messages") if ENVIRONMENT == "development" else ""
)

# --- Webhooks -----------------------------------------------------------------------------------------------

# Whether webhooks may go to http://, to any port and to addresses inside our own network: for a development machine.
WEBHOOKS_ALLOW_PRIVATE = env.bool("WEBHOOKS_ALLOW_PRIVATE", not PRODUCTION)
# How long the log of deliveries is kept after the last attempt.
WEBHOOK_LOG_DAYS = whole_number("WEBHOOK_LOG_DAYS", 30)
if WEBHOOK_LOG_DAYS < 1:
    raise ImproperlyConfigured("WEBHOOK_LOG_DAYS must be 1 or more")

# --- Background work ----------------------------------------------------------------------------------------

# Long work that runs at the same time, in all processes together: fewer than workers, whom sales wait for as well.
JOBS_AT_ONCE = whole_number("JOBS_AT_ONCE", 1)
if JOBS_AT_ONCE < 1:
    raise ImproperlyConfigured("JOBS_AT_ONCE must be 1 or more")

# Connections on which one import writes at once: as many processors of the database has it for itself.
IMPORT_WRITERS = whole_number("IMPORT_WRITERS", 2)
if not 1 <= IMPORT_WRITERS <= 8:
    raise ImproperlyConfigured("IMPORT_WRITERS must be 1 to 8")
CELERY_BROKER_URL = REDIS_URL or None
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_TIMEZONE = "UTC"
CELERY_TASK_ALWAYS_EAGER = False
# What waits for strangers' servers, a round of webhooks up to 35 s, has workers of its own: points and segments never wait.
CELERY_TASK_ROUTES = {
    f"marketing.tasks.{name}": {"queue": "webhooks"}
    for name in (
        "send_due_deliveries",
        "tell_owners_of_disabled_webhooks",
        "send_consent_requests",
        "run_campaigns",
    )
}
CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE

# --- Admin --------------------------------------------------------------------------------------------------

# The theme's sign-in form has no "next" of its own.
LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = {
    "SITE_TITLE": "CloudPOS",
    "SITE_HEADER": "CloudPOS",
    "SITE_SUBHEADER": "cloudpos.admin.navigation.merchant_name",
    "SITE_SYMBOL": "storefront",
    "SITE_DROPDOWN": "cloudpos.admin.navigation.merchant_switch",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "cloudpos.admin.navigation.favicon"},
    ],
    "STYLES": ["cloudpos.admin.navigation.stylesheet"],
    "SCRIPTS": ["cloudpos.admin.navigation.script"],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "6px",
    "DASHBOARD_CALLBACK": "cloudpos.admin.dashboard.fill",
    "SIDEBAR": {"navigation": "cloudpos.admin.navigation.sidebar", "show_search": False},
    "COLORS": {
        "primary": {
            "50": "oklch(97.1% .014 180)",
            "100": "oklch(94.6% .032 180)",
            "200": "oklch(89.6% .062 181)",
            "300": "oklch(82.3% .095 181)",
            "400": "oklch(74.2% .112 182)",
            "500": "oklch(63.6% .107 183)",
            "600": "oklch(52.4% .091 184)",
            "700": "oklch(44.9% .077 185)",
            "800": "oklch(38.3% .063 186)",
            "900": "oklch(33.2% .053 187)",
            "950": "oklch(23.5% .039 188)",
        },
    },
}

# --- Logs ---------------------------------------------------------------------------------------------------

RUNNING_TESTS = "pytest" in sys.modules
LOGGING_CONFIG = "cloudpos.api.logs.configure"
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}
