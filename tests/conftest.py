"""What every test shares: how Hypothesis searches. Knows no part of the project."""

import os

from hypothesis import HealthCheck, settings

# A timing never decides a test, so there is no deadline. In CI the same commit always sees the same examples.
settings.register_profile(
    "local", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
