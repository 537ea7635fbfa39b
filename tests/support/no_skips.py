"""A pytest plugin: a test that is skipped or expected to fail is a failure. Nothing is quietly left out."""

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _failed_if_skipped((yield), item.nodeid)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _failed_if_skipped((yield), collector.nodeid)


def _failed_if_skipped(report: Any, node: str) -> Any:
    if report.skipped:
        report.outcome = "failed"
        if hasattr(report, "wasxfail"):
            del report.wasxfail  # pytest does not count a failure that bears it
        report.longrepr = f"{node} was skipped or expected to fail ({report.longrepr}): here every test runs and passes"
    return report
