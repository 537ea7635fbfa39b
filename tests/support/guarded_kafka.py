"""A real Kafka with a listener for each way to turn a client away: TLS, a login, an address that nobody knows."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.kafka.local import LocalKafka, free_port
from stream.kafka.local_libs import ensure_libs, java_command

USER = "tester"
PASSWORD = "right-password"
_STORE_PASSWORD = "changeit"
_UNKNOWN_HOST = "no-such-host..invalid"  # two dots: refused by the resolver itself, with or without a network
_LOGIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'


@dataclass(frozen=True, slots=True)
class GuardedKafka:
    """Where its listeners are (host:port).

    plain: no TLS, no login. login: wants SASL PLAIN. tls: TLS, by a certificate that nobody trusts. two_way_tls: wants
    a certificate of the client's too. elsewhere: plain, but sends clients on to a host that isn't there.
    certificate: the broker's, for `ssl.ca.location`.
    """

    plain: str
    login: str
    tls: str
    two_way_tls: str
    elsewhere: str
    certificate: Path


@contextmanager
def guarded_kafka(folder: Path) -> Iterator[GuardedKafka]:
    """It runs while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    store, certificate = _key_store(folder)
    ports = {name: free_port() for name in ("LOGIN", "TLS", "TWOWAY", "ELSEWHERE", "CONTROLLER")}
    ports["PLAINTEXT"] = plain_port = free_port()
    here = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    advertised = {name: place for name, place in here.items() if name != "CONTROLLER"}
    advertised["ELSEWHERE"] = f"{_UNKNOWN_HOST}:{ports['ELSEWHERE']}"
    protocols = {"LOGIN": "SASL_PLAINTEXT", "TLS": "SSL", "TWOWAY": "SSL"}
    properties = {
        "controller.quorum.voters": f"1@{here['CONTROLLER']}",
        "listeners": ",".join(f"{name}://{place}" for name, place in here.items()),
        "advertised.listeners": ",".join(f"{name}://{place}" for name, place in advertised.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocols.get(name, 'PLAINTEXT')}" for name in here),
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": _LOGIN,
        **_tls("tls", store),
        **_tls("twoway", store),
        "listener.name.twoway.ssl.client.auth": "required",
    }
    with LocalKafka(ensure_libs(), folder / "kafka", port=plain_port, properties=properties):
        yield GuardedKafka(
            here["PLAINTEXT"], here["LOGIN"], here["TLS"], here["TWOWAY"], here["ELSEWHERE"], certificate
        )


def _tls(listener: str, store: Path) -> dict[str, str]:
    kinds = {"keystore": store, "truststore": store}
    given = {
        f"listener.name.{listener}.ssl.{kind}.{what}": value
        for kind, path in kinds.items()
        for what, value in (("location", str(path)), ("type", "PKCS12"), ("password", _STORE_PASSWORD))
    }
    return given | {f"listener.name.{listener}.ssl.key.password": _STORE_PASSWORD}


def _key_store(folder: Path) -> tuple[Path, Path]:
    """A key with a certificate for 127.0.0.1 that signs itself, and the certificate as PEM."""
    store, certificate = folder / "broker.p12", folder / "broker.pem"
    keytool = Path(java_command()).with_name("keytool")  # it comes with every Java
    access = ("-alias", "broker", "-keystore", str(store), "-storepass", _STORE_PASSWORD)
    names = ("-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1")
    for arguments in (
        ("-genkeypair", "-keyalg", "EC", "-validity", "2", "-storetype", "PKCS12", *names, *access),
        ("-exportcert", "-rfc", "-file", str(certificate), *access),
    ):
        subprocess.run([str(keytool), *arguments], check=True, capture_output=True, timeout=60)
    return store, certificate
