"""Flower carries the messages: `pip install 'fedtiny[flower]'`.

Import nothing of Flower before this package: it reads at import whether it may send telemetry.
"""

import os

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
