"""Who may connect to whom: Kubernetes' rules for NetworkPolicies, as far as ours use them.

A pod that a policy selects for a direction accepts (or opens) only what some policy allows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from homeserver_operator.api.world import Object


@dataclass(frozen=True)
class Endpoint:
    """A pod with its labels and its namespace's, or an address outside of the cluster."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None


def connects(
    policies: Iterable[Object], source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP"
) -> bool:
    """Whether the one's egress and the other's ingress let a connection through."""
    known, door = list(policies), {"port": port, "protocol": protocol}
    return _passes(known, "Egress", source, target, door) and _passes(
        known, "Ingress", target, source, door
    )


def _passes(
    policies: Iterable[Object], direction: str, at: Endpoint, peer: Endpoint, door: Object
) -> bool:
    rules_field, peers_field = direction.lower(), {"Ingress": "from", "Egress": "to"}[direction]
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and at.address is None
        and at.namespace == policy["metadata"]["namespace"]
        and _selects(policy["spec"]["podSelector"], at.labels)
    ]
    namespace = at.namespace
    return not selecting or any(
        _opens(rule.get("ports"), door) and _names(rule.get(peers_field), peer, namespace)
        for spec in selecting
        for rule in spec.get(rules_field, ())
    )


def _opens(ports: Any, door: Object) -> bool:
    return not ports or door in ports


def _names(peers: Any, peer: Endpoint, namespace: str) -> bool:
    return not peers or any(_is(one, peer, namespace) for one in peers)


def _is(wanted: Mapping[str, Any], peer: Endpoint, namespace: str) -> bool:
    if "ipBlock" in wanted:
        block = ip_network(wanted["ipBlock"]["cidr"])
        return peer.address is not None and ip_address(peer.address) in block
    if peer.address is not None:
        return False
    if "namespaceSelector" in wanted:
        right_place = _selects(wanted["namespaceSelector"], peer.namespace_labels)
    else:
        right_place = peer.namespace == namespace
    return right_place and _selects(wanted.get("podSelector", {}), peer.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_matches(item, labels) for item in selector.get("matchExpressions", ()))


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    inside = labels.get(expression["key"]) in expression["values"]
    return inside is {"In": True, "NotIn": False}[expression["operator"]]
