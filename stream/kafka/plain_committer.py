"""At least once: publishes outcomes, waits until they are acknowledged, then commits the offsets that finish them."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from stream.kafka.attempts import Attempt, Ending, Parcel, Result
from stream.kafka.deliveries import Deliveries, produce_all
from stream.kafka.failpoints import reach
from stream.kafka.member_commits import Commit

_CLOSE_S = 5.0
COPIES_WAIT_S = 5.0
"""How long audit copies are waited for when their outcomes are acknowledged."""
LONGEST_SILENCE_S = 40.0
"""The worker waits for a commit for 30 s at most."""


class PlainCommitter:
    """At least once: outcomes first, offsets when every one is acknowledged.

    commit: commits offsets as a member of the group and waits. What was published stays published: if only the commit
    fails, the next attempt with the same parcels sends offsets only.
    """

    def __init__(self, make: Callable[[], Producer], commit: Callable[[Sequence[Commit]], None]) -> None:
        self._make = make
        self._commit = commit
        self._producer: Producer | None = None
        self._letting_go = threading.Event()
        self._replaced = False
        self.beats = 0
        self.longest_silence_s = LONGEST_SILENCE_S

    def open(self) -> None:
        """Nothing is ever left open without transactions."""

    def attempt(self, attempt: Attempt) -> Ending:
        try:
            return self._attempted(attempt)
        finally:
            self._letting_go.clear()

    def _attempted(self, attempt: Attempt) -> Ending:
        deliveries = Deliveries()
        fresh = [parcel for parcel in attempt.parcels if not parcel.published]
        try:
            self._publish(fresh, deliveries)
            reach("produced")
            self.beats += 1
            if self._replaced:  # older offsets than others may have committed by now
                return Ending(Result.ABORTED, "replaced")
            if not deliveries.refused:
                self._commit(attempt.offsets)
        except KafkaException as error:
            ending = Ending(Result.ABORTED, error.args[0].str())
        else:
            ending = deliveries.refusal() if deliveries.refused else Ending(Result.COMMITTED, deliveries.reasons())
        if ending.result is Result.COMMITTED:
            reach("committed")
        places = {id(parcel): index for index, parcel in enumerate(attempt.parcels)}

        def places_of(indices: Iterable[int]) -> frozenset[int]:
            return frozenset(places[id(fresh[index])] for index in indices)

        return dataclasses.replace(
            ending, refused=places_of(ending.refused), copies_refused=places_of(deliveries.copies_refused)
        )

    def resolve(self, attempt: Attempt) -> Ending:
        """Without transactions nothing is ever unknown: what isn't known to be committed is tried again."""
        return Ending(Result.ABORTED, "tried again")

    def let_go(self) -> None:
        self._letting_go.set()

    def doubt(self) -> None:
        """It knows no group coordinator, and finds other brokers by itself."""

    def replacement(self) -> "PlainCommitter":
        self._replaced = True
        self._letting_go.set()
        return PlainCommitter(self._make, self._commit)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.flush(_CLOSE_S)
        self._producer = None

    def _publish(self, parcels: Sequence[Parcel], deliveries: Deliveries) -> None:
        """Produce and wait for every acknowledgement; for those of copies not long. Raises KafkaException."""
        producer = self._producer = self._producer or self._make()
        try:
            produce_all(producer, parcels, deliveries)
        except KafkaException:
            self._producer = None  # it may be dead for good
            raise
        self._wait(producer, deliveries)
        deliveries.leave_copies_out()
        for index, parcel in enumerate(parcels):
            parcel.published = index not in deliveries.refused and index not in deliveries.failed
        if deliveries.any_refused or deliveries.failed:
            self._producer = None  # its sequence numbers have a hole
        for error in deliveries.failed.values():
            raise KafkaException(error)

    def _wait(self, producer: Producer, deliveries: Deliveries) -> None:
        copies_until_s: float | None = None
        while producer.flush(0.5):
            self.beats += 1
            if self._letting_go.is_set():
                self._producer = None
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            if deliveries.unanswered:
                continue
            copies_until_s = copies_until_s or time.monotonic() + COPIES_WAIT_S
            if time.monotonic() >= copies_until_s:
                return
