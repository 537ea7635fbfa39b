"""Logging never waits for its reader and never fails for it; what is lost is counted and said."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stream.telemetry.log_sink import ATOMIC_BYTES, MAX_WAITING_BYTES, LineSink
from tests.support.waiting import wait_until

LINE = b"x" * 99 + b"\n"


class Losses:
    """A sink's losses, as it tells them."""

    def __init__(self) -> None:
        self.lines = 0

    def add(self, lines: int) -> None:
        self.lines += lines


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """Read end, write end; `shut` one, and its place holds -1."""
    ends = list(os.pipe())
    yield ends
    for place, end in enumerate(ends):
        if end >= 0:
            shut(ends, place)


def shut(ends: list[int], place: int) -> None:
    """Close an end, once: a second time its number may be somebody else's, a client library's thread for example."""
    os.close(ends[place])
    ends[place] = -1


def sink_to(fd: int | None, losses: Losses) -> LineSink:
    return LineSink(fd, lambda lines: b"%d lost\n" % lines, losses.add)


def test_lines_come_in_order_and_all_of_them_by_the_end(pipe, losses):
    sink = sink_to(pipe[1], losses)
    for number in range(500):
        sink.write(b"%d\n" % number)
    sink.close()
    assert os.read(pipe[0], 1 << 16).split() == [b"%d" % number for number in range(500)]
    assert losses.lines == 0


def test_a_reader_that_stands_still_holds_nobody_up(pipe, losses):
    sink = sink_to(pipe[1], losses)
    lines = 2 * MAX_WAITING_BYTES // len(LINE)
    started_s = time.process_time()
    for _ in range(lines):
        sink.write(LINE)
    assert time.process_time() - started_s < 5
    assert 0 < losses.lines < lines
    shut(pipe, 0)
    sink.close()


def test_what_was_lost_is_said_once_lines_go_through_again(pipe, losses):
    sink = sink_to(pipe[1], losses)
    while not losses.lines:
        sink.write(LINE)
    os.set_blocking(pipe[0], False)  # an empty pipe is nothing read yet, not a wait that only the test could end
    read = bytearray()

    def all_said() -> bool:
        with suppress(BlockingIOError):
            read.extend(os.read(pipe[0], 1 << 20))
        sink.write(b"again\n")  # may be lost too, while there is no room yet
        return sum(int(lines) for lines in re.findall(rb"(\d+) lost\n", read)) == losses.lines

    wait_until(all_said, 10, "the loss wasn't said", every_s=0.001)
    shut(pipe, 0)
    sink.close()


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe, losses):
    shut(pipe, 0)
    sink = sink_to(pipe[1], losses)
    for _ in range(10):
        sink.write(LINE)
    sink.close()
    assert losses.lines == 10


def test_a_full_disk_costs_lines_and_nothing_else(losses):
    full = os.open("/dev/full", os.O_WRONLY)
    sink = sink_to(full, losses)
    os.close(full)
    for _ in range(10):
        sink.write(LINE)
    sink.close()
    assert losses.lines == 10


@pytest.mark.parametrize("fd", [None, 1_000_000], ids=["none", "closed"])
def test_no_stderr_at_all_costs_lines_and_nothing_else(fd, losses):
    sink = sink_to(fd, losses)
    sink.write(LINE)
    sink.close()
    assert losses.lines == 1


def test_a_stderr_that_somebody_made_non_blocking_loses_nothing(pipe, losses):
    os.set_blocking(pipe[1], False)
    sink = sink_to(pipe[1], losses)
    lines = 4_000
    for _ in range(lines):
        sink.write(LINE)
    read = bytearray()

    def all_read() -> bool:
        read.extend(os.read(pipe[0], 1 << 20))
        return len(read) == lines * len(LINE)

    wait_until(all_read, 10, lambda: f"{len(read)} bytes came")
    sink.close()
    assert losses.lines == 0


def test_closing_waits_for_a_stuck_reader_only_so_long(pipe, losses):
    os.set_blocking(pipe[1], False)
    sink = sink_to(pipe[1], losses)
    lines = 1_000
    for _ in range(lines):
        sink.write(LINE)
    sink.close(patience_s=0.1)
    wait_until(lambda: losses.lines, 5, "nothing was counted")
    written = len(os.read(pipe[0], 1 << 20)) // len(LINE)
    assert losses.lines + written == lines


def test_a_line_after_the_end_is_counted(pipe, losses):
    sink = sink_to(pipe[1], losses)
    sink.close()
    sink.write(LINE)
    sink.close()
    assert losses.lines == 1


def test_closing_the_descriptor_elsewhere_does_not_lead_lines_astray(pipe, losses, tmp_path):
    sink = sink_to(pipe[1], losses)
    shut(pipe, 1)
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)  # likely to get the same number
    sink.write(LINE)
    sink.close()
    os.close(other)
    assert os.read(pipe[0], 1 << 16) == LINE
    assert (tmp_path / "other").read_bytes() == b""


def test_workers_that_share_a_pipe_do_not_cut_each_others_lines(pipe, losses):
    sinks = [sink_to(pipe[1], losses) for _ in range(3)]
    of_worker = [bytes([97 + number]) * 999 + b"\n" for number in range(3)]
    read = bytearray()
    lines = 3 * 300

    def write(sink: LineSink, line: bytes) -> None:
        for _ in range(lines // 3):
            sink.write(line)

    writers = [threading.Thread(target=write, args=pair) for pair in zip(sinks, of_worker, strict=True)]
    for writer in writers:
        writer.start()

    def all_read() -> bool:
        read.extend(os.read(pipe[0], 1 << 20))
        return len(read) == lines * 1_000

    wait_until(all_read, 10, lambda: f"{len(read)} bytes came")
    for sink in sinks:
        sink.close()
    assert ATOMIC_BYTES >= 4 * 1_000
    assert {bytes(line) for line in read.splitlines(keepends=True)} == set(of_worker)
