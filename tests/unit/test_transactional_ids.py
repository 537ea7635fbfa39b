"""A transactional id that nobody else on this host uses, and that a restarted worker finds again."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.core.errors import ConfigError
from stream.kafka import transactional_ids
from stream.kafka.transactional_ids import TransactionalId, default_state_dir

PREFIX = f"group.{socket.gethostname()}"

Claim = Callable[..., TransactionalId]


def end(worker: TransactionalId) -> None:
    """What the end of a process does to its lock."""
    if worker._lock is not None:
        worker._lock.close()


@pytest.fixture
def claim() -> Iterator[Claim]:
    held: list[TransactionalId] = []

    def claimed(configured: str, group_id: str, state_dir: Path) -> TransactionalId:
        held.append(transactional_ids.claim(configured, group_id, state_dir))
        return held[-1]

    yield claimed
    for worker in held:
        end(worker)


def test_each_worker_takes_the_first_free_slot(tmp_path: Path, claim: Claim) -> None:
    held = [claim("", "group", tmp_path) for _ in range(3)]
    assert [each.name for each in held] == [f"{PREFIX}.{slot}" for slot in range(3)]


def test_a_slot_given_up_is_found_again(tmp_path: Path, claim: Claim) -> None:
    first, second = claim("", "group", tmp_path), claim("", "group", tmp_path)
    name = first.name
    end(first)
    assert claim("", "group", tmp_path).name == name
    assert second.name != name


def test_groups_do_not_share_slots(tmp_path: Path, claim: Claim) -> None:
    one, other = claim("", "group", tmp_path), claim("", "other", tmp_path)
    assert [each.name.rpartition(".")[2] for each in (one, other)] == ["0", "0"]


def test_a_name_that_is_no_file_name_is_locked_all_the_same(tmp_path: Path, claim: Claim) -> None:
    odd = claim("", "a/b c", tmp_path)
    assert odd.name.startswith("a/b c.")
    assert [path.parent for path in tmp_path.rglob("*.lock")] == [tmp_path]


def test_a_configured_name_is_taken_as_it_is_and_random_ones_differ(tmp_path: Path, claim: Claim) -> None:
    assert claim("mine", "group", tmp_path).name == "mine"
    assert claim("random", "group", tmp_path).name != claim("random", "group", tmp_path).name
    assert list(tmp_path.iterdir()) == []


def test_a_state_dir_that_cannot_be_written_says_what_to_do(tmp_path: Path, claim: Claim) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ConfigError, match=r"state_dir.*transactional_id = \"random\""):
        claim("", "group", blocked / "below")


def test_too_many_workers_are_refused(tmp_path: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactional_ids, "MAX_SLOTS", 1)
    held = claim("", "group", tmp_path)
    with pytest.raises(ConfigError, match="too many"):
        claim("", "group", tmp_path)
    assert held.name.endswith(".0")


def test_the_state_dir_is_the_configured_one_else_that_of_the_desktop_standard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_state_dir("/srv/state") == Path("/srv/state")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir("") == tmp_path / "llm-stream"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state_dir("") == tmp_path / ".local" / "state" / "llm-stream"
