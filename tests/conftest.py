"""What every test may use, and the rule that none is skipped."""

from tests.support.kafka import kafka, own_kafka, proxy, topics
from tests.support.no_skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["kafka", "own_kafka", "proxy", "pytest_make_collect_report", "pytest_runtest_makereport", "topics"]
