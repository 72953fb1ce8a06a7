"""Application services: their registrations as values, and the rules over them.

A registration holds tokens: nothing here, and nothing that it raises, ever quotes one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from homeserver_operator.api.roles import SHARED_BY_ALL
from homeserver_operator.api.spec import AppserviceRef, HomeServer
from homeserver_operator.validate.documents import UnreadableError, read_yaml

FILE: Final = "registration.yaml"

_TEXTS: Final = ("id", "as_token", "hs_token", "sender_localpart")
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
_LIKE_AN_EPOCH: Final = re.compile(r"-e[0-9]+$")


@dataclass(frozen=True)
class Registration:
    """What routing needs of a registration: who its users are, and how a router knows it.

    `sender` is the user as whom it acts in its own name, who may be of no namespace.
    """

    id: str
    sender: str
    user_patterns: tuple[str, ...]
    as_token: str = field(repr=False)


def purpose(name: str) -> str:
    """The directory of its copy under /secrets."""
    return f"appservice-{name}"


def group_problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `workers[].appservices` (one sentence each)."""
    known = {service.name for service in server.appservices}
    for group in server.workers:
        path = f"spec.workers[{group.name}].appservices"
        if not group.appservices:
            continue
        for name in sorted(group.appservices - known):
            yield (
                f"{path} names {name}, which is no application service of this homeserver: add it "
                "to spec.appservices, or remove it"
            )
        if not group.serves:
            yield f"{path} narrows what the group serves, but it serves nothing: set serves"
        for value in sorted(group.serves & SHARED_BY_ALL):
            yield (
                f"{path} cannot narrow {value}, which a group serves for everybody: move {value} "
                "to another group"
            )
        if _LIKE_AN_EPOCH.search(group.name):
            yield (
                f"spec.workers[{group.name}].name: must not end in '-e' and digits in a group "
                "with appservices, because replication Services end so: choose another ending"
            )


def read_registrations(
    server: HomeServer, material: Mapping[str, Mapping[str, bytes]]
) -> tuple[dict[str, Registration], tuple[str, ...]]:
    """The registrations by name of the application service, and what is wrong with them."""
    found: dict[str, Registration] = {}
    problems: list[str] = []
    for service in server.appservices:
        read = _read(service, material[purpose(service.name)][FILE], server.server_name)
        if isinstance(read, Registration):
            found[service.name] = read
        else:
            problems += read
    for field_name in ("id", "as_token"):
        problems += _duplicates(found, field_name)
    return found, tuple(problems)


def _read(service: AppserviceRef, text: bytes, server_name: str) -> Registration | list[str]:
    ref = service.registration
    where = f"spec.appservices[{service.name}]: key {ref.key} of Secret {ref.secret_name}"
    try:
        document = read_yaml(text)
    except UnreadableError as error:
        return [f"{where} {error}"]
    if not isinstance(document, Mapping):
        return [f"{where} must hold a YAML mapping, the application service's registration"]
    problems = [
        f"{where} has no {key}, or it is no text: copy the registration that the application "
        "service generated"
        for key in _TEXTS
        if not isinstance(document.get(key), str) or not document[key]
    ]
    if "url" not in document or not isinstance(document["url"], str | None):
        problems.append(f"{where} has no url: set its address, or null if it receives nothing")
    namespaces = document.get("namespaces")
    users = _patterns(namespaces)
    if users is None:
        problems.append(
            f"{where} has no namespaces, or not as lists of regex and exclusive: copy the "
            "registration that the application service generated"
        )
    problems += (f"{where}: {problem}" for problem in _late_problems(document))
    if problems or users is None:
        return problems
    sender = f"@{document['sender_localpart']}:{server_name}"
    return Registration(document["id"], sender, users, document["as_token"])


def _late_problems(document: Mapping[Any, Any]) -> Iterator[str]:
    """What Synapse refuses as well, but not before it is connected (config/appservice.py)."""
    sender, identifier = document.get("sender_localpart"), document.get("id")
    if isinstance(sender, str) and not _UNQUOTED.fullmatch(sender):
        yield "sender_localpart is to be a user's name alone, without @ and server: shorten it"
    if isinstance(identifier, str) and "|" in identifier:
        yield "id holds '|', which Synapse keeps for itself: give it another"
    protocols = document.get("protocols") or []
    if not isinstance(protocols, list) or not all(isinstance(each, str) for each in protocols):
        yield "protocols must be a list of texts: write it as one"
    for switch in ("org.matrix.msc3202", "io.element.msc4190"):
        if not isinstance(document.get(switch, False), bool):
            yield f"{switch} must be true or false, without quotes: write it so"


def _patterns(namespaces: Any) -> tuple[str, ...] | None:
    """The users' patterns; None if the namespaces are not as Synapse takes them."""
    if not isinstance(namespaces, Mapping):
        return None
    for kind in ("users", "aliases", "rooms"):
        entries = namespaces.get(kind, [])
        if not isinstance(entries, list) or not all(map(_is_namespace, entries)):
            return None
    return tuple(entry["regex"] for entry in namespaces.get("users", []))


def _is_namespace(entry: Any) -> bool:
    if not (
        isinstance(entry, Mapping)
        and isinstance(entry.get("regex"), str)
        and isinstance(entry.get("exclusive"), bool)
    ):
        return False
    try:
        re.compile(entry["regex"])
    except re.error:
        return False
    return True


def _duplicates(found: Mapping[str, Registration], field_name: str) -> Iterator[str]:
    by_value: dict[str, list[str]] = {}
    for name, registration in found.items():
        by_value.setdefault(getattr(registration, field_name), []).append(name)
    for names in by_value.values():
        if len(names) > 1:
            yield (
                f"spec.appservices: {', '.join(sorted(names))} have the same {field_name}, but "
                "Synapse tells application services by it: give each registration one of its own"
            )
