"""A real Kafka of one node as a child process, for `demo --kafka local` and the tests.

Promises: it listens on 127.0.0.1 only; a restart keeps ports and data; it dies with the process that started it,
however that one ends. Not for production.
"""

import base64
import fcntl
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from types import TracebackType
from typing import Self, TextIO

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.core.errors import DependencyError
from stream.kafka.local_libs import java_command

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
QUICK_JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Starts soonest and takes the least; a benchmark passes its own options instead."""

_SMALL_CLUSTER = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # After a crash the controller takes the new process in only when the old one's session has run out (default: 9 s).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
_PORTS = range(20_000, 32_000)
"""Below the ephemeral range of Linux and macOS: there, a client that keeps dialling the port of a dead broker can be
given that very port as its own, connects to itself, and keeps the broker from coming back."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens, and which no outgoing connection will take."""
    for _ in range(200):
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DependencyError(f"no free port of 127.0.0.1 was found between {_PORTS.start} and {_PORTS.stop}")


class LocalKafka:
    """One broker that is its own controller (KRaft). Use as a context manager, or `start` and `stop` it.

    libs: the folder of Kafka's jars (`local_libs.ensure_libs()`). data_dir: kept between starts, its owner removes it.
    port: 0 for any free one. proxy_port: if given, there is a second listener at `proxied_port` that tells clients to
    come back through 127.0.0.1:`proxy_port`, where the caller runs a proxy.
    properties: broker properties; they override ours. jvm: options of the Java machine.
    """

    def __init__(
        self,
        libs: Path,
        data_dir: Path,
        *,
        port: int = 0,
        proxy_port: int | None = None,
        properties: Mapping[str, str] | None = None,
        jvm: Sequence[str] = QUICK_JVM,
    ) -> None:
        self.port = port or free_port()
        self.proxied_port = free_port()
        self.log_file = data_dir / "broker.log"
        self._libs = libs
        self._data_dir = data_dir
        self.proxy_port = proxy_port
        self._properties = dict(properties or {})
        self._jvm = tuple(jvm)
        self._controller_port = free_port()
        self._broker: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._given_up = threading.Event()
        self._lock: TextIO | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._broker.pid if self._broker else None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it and wait until it answers. Raises DependencyError, with the broker's last words, if it doesn't."""
        java = java_command()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._claim_data()
        try:
            self._start(java, timeout_s)
        except BaseException:
            self._give_back_data()
            raise

    def _start(self, java: str, timeout_s: float) -> None:
        config = self._data_dir / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self._configuration().items()))
        if not (self._data_dir / "log" / "meta.properties").exists():
            self._format(java, config)
        with self.log_file.open("ab") as log:
            self._broker = subprocess.Popen(  # noqa: S603
                self._command(java, "kafka.Kafka", str(config)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C on the terminal is the demo's to answer, not the broker's
            )
        self._watcher = watch_over(self._broker.pid)
        try:
            self._wait_until_it_answers(timeout_s)
        except BaseException:
            self.kill()
            raise

    def give_up(self) -> None:
        """Make a `start` that goes on in another thread end at once, with DependencyError; later ones too."""
        self._given_up.set()

    def stop(self) -> None:
        """An orderly end: SIGTERM, after 15 s SIGKILL. Does nothing if it doesn't run."""
        if self._broker is None:
            return
        self.resume()
        self._broker.send_signal(SIGTERM)
        try:
            self._broker.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._broker.kill()
        self._reap()

    def kill(self) -> None:
        """SIGKILL: what a crash of the machine does to it. Does nothing if it doesn't run."""
        if self._broker is not None:
            self._broker.send_signal(SIGKILL)
            self._reap()

    def restart(self) -> None:
        """Stop it in order and start it again on the same ports and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        if self._broker is not None:
            self._broker.send_signal(SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self._broker is not None:
            self._broker.send_signal(SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configuration(self) -> dict[str, str]:
        listeners = {"CONTROLLER": self._controller_port, "PLAINTEXT": self.port}
        advertised = {"PLAINTEXT": self.port}
        if self.proxy_port is not None:
            listeners["PROXIED"] = self.proxied_port
            advertised["PROXIED"] = self.proxy_port
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": _addresses(listeners),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
            "log.dirs": str(self._data_dir / "log"),
            **_SMALL_CLUSTER,
            **self._properties,
        }

    def _command(self, java: str, main_class: str, *arguments: str) -> list[str]:
        logging = ("-Dlog4j2.level=WARN", "-Dlog4j2.disable.jmx=true")
        return [java, *self._jvm, *logging, "-cp", f"{self._libs}/*", main_class, *arguments]

    def _format(self, java: str, config: Path) -> None:
        """Write the empty metadata log, with a cluster id of its own."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        format_ = ("format", f"--cluster-id={cluster_id}", "-c", str(config))
        command = self._command(java, "kafka.tools.StorageTool", *format_)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tool:  # noqa: S603
            give_up_s = time.monotonic() + START_TIMEOUT_S
            said = None
            while said is None:
                if self._given_up.is_set() or time.monotonic() > give_up_s:
                    tool.kill()
                with suppress(subprocess.TimeoutExpired):
                    said, _ = tool.communicate(timeout=0.05)
        if tool.returncode != 0:
            raise DependencyError(f"the local Kafka could not format {self._data_dir}:\n{said}")

    def _wait_until_it_answers(self, timeout_s: float) -> None:
        broker, properties = self._broker, (self._data_dir / "log" / "meta.properties").read_text().splitlines()
        client = AdminClient(
            {"bootstrap.servers": self.bootstrap_servers, "reconnect.backoff.max.ms": 100, "log_level": 0}
        )
        give_up_s = time.monotonic() + timeout_s
        while time.monotonic() < give_up_s:
            if self._given_up.is_set():
                raise DependencyError("the local Kafka is not waited for any longer")
            if broker is None or broker.poll() is not None:
                raise DependencyError(f"the local Kafka ended while starting. Its last words:\n{self._last_words()}")
            with suppress(KafkaException):
                answer = client.list_topics(timeout=0.2)
                if answer.brokers and f"cluster.id={answer.cluster_id}" in properties:  # and not somebody else's Kafka
                    return
            time.sleep(0.05)
        raise DependencyError(
            f"the local Kafka did not answer within {timeout_s:.0f} s. Its last words:\n{self._last_words()}"
        )

    def _last_words(self) -> str:
        said = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        lines = [line for line in said.splitlines() if not line.startswith("\t")]  # stack frames say nothing to people
        return "\n".join(lines[-15:]) or "(none)"

    def _reap(self) -> None:
        if self._watcher is not None:  # before the broker is reaped: from then on its pid may be somebody else's
            self._watcher.kill()
            self._watcher.communicate()
        if self._broker is not None:
            self._broker.wait()
        self._broker = self._watcher = None
        self._give_back_data()

    def _claim_data(self) -> None:
        """Two brokers over the same folder destroy it: Kafka itself notices only when it has written already."""
        if self._lock is not None:
            return
        lock = (self._data_dir / "in_use_by").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            user = lock.read().strip()
            lock.close()
            raise DependencyError(
                f"a Kafka runs in {self._data_dir} already (process {user}): use it, or stop it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _give_back_data(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def watch_over(pid: int) -> subprocess.Popen[bytes]:
    """A shell that waits for the end of its input, which is ours to close, and then kills `pid`.

    So the child dies even if we are killed. Kill the shell before reaping the child: later its pid may be another's.
    (PR_SET_PDEATHSIG would fire when the *thread* that started the child ends.)
    """
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", 'read _; kill -9 "$0"', str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
