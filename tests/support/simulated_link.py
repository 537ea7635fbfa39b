"""A simulated process's way to the model broker: latency, outages, answers that come late, never, or wrong."""

from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from tests.support.model_broker import Away, Broker
from tests.support.model_group import Refused
from tests.support.simulated_threading import strand
from tests.support.simulated_time import Process

T = TypeVar("T")
Answer = Any

_LATENCY_S = 0.004
_AGAIN_S = 0.03
_LATE_S = 8.0


def failure(code: int, **flags: bool) -> KafkaException:
    """What librdkafka raises."""
    return KafkaException(KafkaError(code, **flags))


class Pending:
    """A request on its way. `answer`: a value or an exception, once `done`."""

    def __init__(self) -> None:
        self.done = False
        self.answer: Answer = None
        self._told: list[Callable[[], None]] = []

    def settle(self, answer: Answer) -> None:
        if not self.done:
            self.done, self.answer = True, answer
            for told in self._told:
                told()

    def then(self, told: Callable[[], None]) -> None:
        """Be told when it is answered."""
        told() if self.done else self._told.append(told)

    def value(self) -> Any:
        """The answer. Raises what it is, if that is an exception."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Link:
    """See the module. A request is asked again while no broker is there, as librdkafka does."""

    def __init__(self, process: Process, broker: Broker) -> None:
        self.process = process
        self.broker = broker
        self.world = process.world

    def send(self, name: str, request: Callable[[], Any]) -> Pending:
        """Send a request; its answer comes as a step of the process."""
        self.process.check_alive()
        pending = Pending()
        trouble = self.broker.trouble(name)
        delay_s = self._latency_s()
        if trouble in {"late", "broken_late"}:
            delay_s = self.world.rand.random() * _LATE_S
        if trouble in {"broken", "broken_late", "broken_unsent"}:
            broken = failure(KafkaError.UNKNOWN, fatal=self.world.rand.random() < 0.5)
            self._answer(pending, broken, self._latency_s())
        if trouble != "broken_unsent":
            slow_answer_s = self.world.rand.random() * _LATE_S if trouble == "answer_late" else 0.0
            self.world.after(delay_s, lambda: self._arrive(pending, request, slow_answer_s))
        return pending

    def wait(self, pending: Pending, timeout_s: float) -> Any:
        """The answer, waited for on this thread. Raises KafkaException, a retriable time-out among them."""
        if not pending.done:
            me = strand()
            pending.then(me.wake_soon)
            me.park(timeout_s)
        if not pending.done:
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        return pending.value()

    def ask(self, name: str, request: Callable[[], Any], timeout_s: float) -> Any:
        """Send and wait."""
        return self.wait(self.send(name, request), timeout_s)

    def _arrive(self, pending: Pending, request: Callable[[], Any], slow_answer_s: float) -> None:
        """At the broker; what was sent arrives even if who sent it is dead by now."""
        if not self.broker.up:
            self._later(pending, request, slow_answer_s, 0.2)
            return
        try:
            answer: Answer = request()
        except Away:
            self._later(pending, request, slow_answer_s, _AGAIN_S)
            return
        except Refused as refused:
            answer = refused
        self._answer(pending, answer, slow_answer_s + self._latency_s())

    def _later(self, pending: Pending, request: Callable[[], Any], slow_answer_s: float, delay_s: float) -> None:
        if not self.process.dead:
            self.world.push(
                self.world.now_s + delay_s, self.process, lambda: self._arrive(pending, request, slow_answer_s)
            )

    def _answer(self, pending: Pending, answer: Answer, delay_s: float) -> None:
        self.world.push(self.world.now_s + delay_s, self.process, lambda: pending.settle(answer))

    def _latency_s(self) -> float:
        return _LATENCY_S * (0.2 + self.world.rand.random())
