"""Strings of a JSON Schema `format`: found in the text, or made up if need be."""

import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date

from stream.simulator.scene import Scene
from stream.simulator.string_finders import found_date, invented_date

Format = Callable[[Scene, str, bool], str | None]


def _day(scene: Scene, name: str, invent: bool) -> date | None:
    return found_date(scene, name) or (invented_date(scene, name) if invent else None)


def _date_time(scene: Scene, name: str, invent: bool) -> str | None:
    day = _day(scene, name, invent)
    return f"{day.isoformat()}T09:30:00Z" if day else None


def _date(scene: Scene, name: str, invent: bool) -> str | None:
    day = _day(scene, name, invent)
    return day.isoformat() if day else None


def _time(scene: Scene, name: str, invent: bool) -> str | None:
    match = re.search(r"\b([01]\d|2[0-3]):([0-5]\d)\b", scene.evidence.text)
    return f"{match[0]}:00Z" if match else ("09:30:00Z" if invent else None)


def _email(scene: Scene, name: str, invent: bool) -> str | None:
    found = scene.evidence.emails[scene.variant : scene.variant + 1]
    return found[0] if found else (f"contact{scene.variant or ''}@example.com" if invent else None)


def _uri(scene: Scene, name: str, invent: bool) -> str | None:
    found = [one if "://" in one else f"https://{one}" for one in scene.evidence.urls]
    found = [one for one in found if one.isascii()][scene.variant : scene.variant + 1]
    return found[0] if found else ("https://www.example.com/" if invent else None)


def _drawn_uuid(scene: Scene, name: str, invent: bool) -> str | None:
    number = (scene.digest(name + "a") << 64) | scene.digest(name + "b")
    return str(uuid.UUID(int=number, version=4)) if invent else None


def _drawn_ip(version: int) -> Format:
    def draw(scene: Scene, name: str, invent: bool) -> str | None:
        host = 1 + scene.digest(name) % 250
        return (
            str(ipaddress.ip_address(f"192.0.2.{host}" if version == 4 else f"2001:db8::{host:x}")) if invent else None
        )

    return draw


def _always(text: str) -> Format:
    return lambda _scene, _name, invent: text if invent else None


FORMATS: dict[str, Format] = {
    "date": _date,
    "date-time": _date_time,
    "time": _time,
    "duration": _always("P30D"),
    "email": _email,
    "idn-email": _email,
    "uri": _uri,
    "url": _uri,
    "uuid": _drawn_uuid,
    "hostname": _always("www.example.com"),
    "ipv4": _drawn_ip(4),
    "ipv6": _drawn_ip(6),
}
"""What each `format` asks for: (scene, the field's name, whether to make something up) to a string, or None."""
