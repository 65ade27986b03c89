"""The product's settings for tools that read them without running anything."""

import os

os.environ.setdefault("DEBUG", "true")
os.environ.setdefault("SECRET_KEY", "only-for-tools-that-read-settings-without-running-anything")
os.environ.setdefault("FIELD_KEYS", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")

from amda.settings import *  # noqa: F403
