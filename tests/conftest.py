"""What every test may use, and the rule that none is skipped."""

from hypothesis import settings

from tests.support.kafka import kafka, own_kafka, proxy, topics
from tests.support.no_skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["kafka", "own_kafka", "proxy", "pytest_make_collect_report", "pytest_runtest_makereport", "topics"]

settings.register_profile("any-machine", deadline=None, print_blob=True)  # a slow machine is no failure
settings.load_profile("any-machine")
