"""Who stands behind a Service, by its EndpointSlices. Pure.

A pod that only warms up is among them: its socket holds what arrives until it serves.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

SERVICE_LABEL: Final = "kubernetes.io/service-name"
PORT_NAME: Final = "http"


class Address(NamedTuple):
    """Where a process listens."""

    ip: str
    port: int


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One pod of one Service, as its Service's own rule of readiness sees it.

    `serves` is what the pod itself says: a Service that publishes those who are not ready calls all
    of its pods `ready`.
    """

    pod: str
    address: Address
    ready: bool
    terminating: bool
    serves: bool = True


Endpoints = tuple[Endpoint, ...]


def by_service(slices: Iterable[Mapping[str, Any]]) -> dict[str, Endpoints]:
    """The pods of each Service that has a slice, each with one address, sorted by name.

    A pod with addresses of both families is reached by IPv4. While it moves from one slice to
    another it may stand in both; the readier entry counts.
    """
    found: dict[str, dict[str, tuple[tuple[bool, bool, bool], Endpoint]]] = {}
    for each in slices:
        service = (each["metadata"].get("labels") or {}).get(SERVICE_LABEL)
        if not service or each.get("addressType") == "FQDN":
            continue
        pods = found.setdefault(service, {})
        for endpoint in _of_slice(each):
            rank = (
                not endpoint.terminating,
                endpoint.ready,
                each.get("addressType") != "IPv6",
            )
            known = pods.get(endpoint.pod)
            if known is None or rank > known[0]:
                pods[endpoint.pod] = rank, endpoint
    return {service: tuple(pods[pod][1] for pod in sorted(pods)) for service, pods in found.items()}


def labels_of(
    slices: Iterable[Mapping[str, Any]], service: str, label: str
) -> frozenset[str | None]:
    """What the slices of a Service take over of its labels, with whom it led to at that time."""
    labels = (each["metadata"].get("labels") or {} for each in slices)
    return frozenset(each.get(label) for each in labels if each.get(SERVICE_LABEL) == service)


def present(endpoints: Endpoints) -> frozenset[str]:
    """The pods that stay: those that terminate have given up their place."""
    return frozenset(each.pod for each in endpoints if not each.terminating)


def members(
    endpoints: Endpoints, awaited: Collection[str] = frozenset[str]()
) -> dict[str, Address]:
    """Whom to send requests to: who is ready or `awaited`, or else all that may become ready."""
    staying = [each for each in endpoints if not each.terminating]
    nobody = not any(each.ready for each in staying)
    return {
        each.pod: each.address for each in staying if nobody or each.ready or each.pod in awaited
    }


def serving(endpoints: Endpoints) -> dict[str, Address]:
    """Who answers by now, and stays."""
    return {each.pod: each.address for each in endpoints if each.serves and not each.terminating}


def _of_slice(each: Mapping[str, Any]) -> Iterator[Endpoint]:
    port = _port(each.get("ports") or ())
    if port is None:
        return
    for endpoint in each.get("endpoints") or ():
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            continue
        conditions = endpoint.get("conditions") or {}
        terminating = bool(conditions.get("terminating"))
        # The API says of `ready` that unknown means yes.
        ready = conditions.get("ready") is not False
        serves = conditions.get("serving")
        yield Endpoint(
            pod=(endpoint.get("targetRef") or {}).get("name") or addresses[0],
            address=Address(addresses[0], port),
            ready=ready and not terminating,
            terminating=terminating,
            serves=ready if serves is None else bool(serves),
        )


def _port(ports: Iterable[Mapping[str, Any]]) -> int | None:
    """The port for clients: the one that is called so, or the only one."""
    known = [each for each in ports if each.get("port")]
    named = [each for each in known if each.get("name") == PORT_NAME]
    chosen = named or (known if len(known) == 1 else [])
    return int(chosen[0]["port"]) if chosen else None
