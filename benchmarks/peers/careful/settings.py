import os

from benchmarks.peers.django_common import MIDDLEWARE, settings

globals().update(settings())
ROOT_URLCONF = "benchmarks.peers.careful.urls"
INSTALLED_APPS = [*settings()["INSTALLED_APPS"], "rest_framework_simplejwt.token_blacklist"]
MIDDLEWARE = [*MIDDLEWARE[:2], "django.middleware.http.ConditionalGetMiddleware", *MIDDLEWARE[2:]]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["PEERS_REDIS_URL"]}
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "DEFAULT_THROTTLE_CLASSES": [
        "benchmarks.peers.careful.throttles.Burst",
        "benchmarks.peers.careful.throttles.Sustained",
    ],
    # As many as the service's, but for the benchmark: DRF keeps the timestamp of every request of the period.
    "DEFAULT_THROTTLE_RATES": {"burst": "1000000/min", "sustained": "1000000/day"},
    "PAGE_SIZE": 20,
}
SIMPLE_JWT = {**settings()["SIMPLE_JWT"], "ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}
