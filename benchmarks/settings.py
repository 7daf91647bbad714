"""The service's settings and one more route: an empty view behind everything that a request of the API passes."""

from cloudpos.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
