"""At least once: publishes outcomes, waits until they are acknowledged, then commits the offsets that finish them."""

import threading
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from stream.kafka.attempts import Attempt, Ending, Parcel, Result
from stream.kafka.deliveries import Deliveries, produce_all
from stream.kafka.failpoints import reach
from stream.kafka.member_commits import Commit

_CLOSE_S = 5.0
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
            return Ending(Result.ABORTED, error.args[0].str())
        if not deliveries.refused:
            reach("committed")
        if not deliveries.any_refused:
            return Ending(Result.COMMITTED)
        places = {id(parcel): index for index, parcel in enumerate(attempt.parcels)}

        def places_of(indices: Iterable[int]) -> frozenset[int]:
            return frozenset(places[id(fresh[index])] for index in indices)

        return Ending(
            Result.REFUSED if deliveries.refused else Result.COMMITTED,
            deliveries.reasons(),
            places_of(deliveries.refused),
            deliveries.refusing_topics,
            places_of(deliveries.copies_refused),
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
        """Produce and wait for every acknowledgement. Raises KafkaException."""
        producer = self._producer = self._producer or self._make()
        produce_all(producer, parcels, deliveries)
        while producer.flush(0.5):
            self.beats += 1
            if self._letting_go.is_set():
                self._producer = None
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        for index, parcel in enumerate(parcels):
            parcel.published = index not in deliveries.refused and index not in deliveries.failed
        if deliveries.any_refused or deliveries.failed:
            self._producer = None  # its sequence numbers have a hole
        for error in deliveries.failed.values():
            raise KafkaException(error)
