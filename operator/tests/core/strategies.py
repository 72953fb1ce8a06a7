"""Valid HomeServers for property tests: any spec that the CRD and `validate` accept."""

from typing import Any

from hypothesis import strategies as st
from tests.core.case import References, as_stored

from homeserver_operator.api.roles import (
    QUARANTINED_MEDIA,
    SHARED_BY_ALL,
    SINGLE_RUNNER,
    SINGLE_WRITER,
    SSO,
    STREAMS,
)
from homeserver_operator.api.world import ObjectKey
from homeserver_operator.routes.classes import CLASSES
from homeserver_operator.validate.groups import RESERVED

Spec = dict[str, Any]

SERVES = sorted({c.serves for c in CLASSES if c.serves} - {"media", SSO})
SHARDED_STREAMS = sorted(set(STREAMS) - {*SINGLE_WRITER, QUARANTINED_MEDIA})
SHARDED_DUTIES = ["federationSender", "outboundFederation", "pusher"]


def names(longest: int) -> st.SearchStrategy[str]:
    """Names that the CRD takes for a HomeServer and for a group."""
    letters = "abcmsz"
    pattern = f"[{letters}][-{letters}09]{{0,{longest - 2}}}[{letters}]|[{letters}]"
    return st.from_regex(pattern, fullmatch=True).filter(lambda name: name not in RESERVED)


@st.composite
def groups(draw: st.DrawFn) -> list[Spec]:
    """Worker groups that hold together: single writers and runners once, media as a whole."""
    called = draw(st.lists(names(20), unique=True, max_size=5))
    made: list[Spec] = [{"name": name} for name in called]
    for group in made:
        _claim(draw, group)
    for field, singles in (("writes", SINGLE_WRITER), ("runs", SINGLE_RUNNER), ("serves", [SSO])):
        for value in singles:
            hosts = [group for group in made if group.get("replicas", 1) <= 1]
            if draw(st.booleans()) and hosts:
                draw(st.sampled_from(hosts)).setdefault(field, []).append(value)
    _media(draw, made)
    _autoscale(draw, made)
    return [group for group in made if {"serves", "writes", "runs"} & group.keys()]


def _claim(draw: st.DrawFn, group: Spec) -> None:
    if (replicas := draw(st.sampled_from([None, 0, 1, 2, 11]))) is not None:
        group["replicas"] = replicas
    for field, values in (("serves", SERVES), ("writes", SHARDED_STREAMS),
                          ("runs", SHARDED_DUTIES)):  # fmt: skip
        if chosen := draw(st.lists(st.sampled_from(values), unique=True, max_size=2)):
            group[field] = chosen
    if draw(st.integers(0, 3)) == 0:
        group["logLevel"] = draw(st.sampled_from(["DEBUG", "ERROR"]))


def _media(draw: st.DrawFn, made: list[Spec]) -> None:
    hosts = [group for group in made if group.get("replicas", 1) == 1]
    if draw(st.booleans()) and hosts:
        host = draw(st.sampled_from(hosts))
        host.setdefault("serves", []).append("media")
        host.setdefault("runs", []).append("mediaBackgroundJobs")
        if draw(st.booleans()):
            host.setdefault("writes", []).append(QUARANTINED_MEDIA)


def _autoscale(draw: st.DrawFn, made: list[Spec]) -> None:
    for group in made:
        # Media would need a volume for many.
        serves = "serves" in group and "media" not in group["serves"]
        if serves and not {"writes", "runs", "replicas"} & group.keys() and draw(st.booleans()):
            group["autoscale"] = {"minReplicas": 2, "maxReplicas": 5, "memoryUtilization": 70}
            group["resources"] = {"requests": {"memory": "512Mi"}}


@st.composite
def specs(draw: st.DrawFn, server_name: str = "wood.example") -> Spec:
    """A whole spec."""
    spec: Spec = {"serverName": server_name}
    found = draw(groups())
    if found:
        spec["workers"] = found
    options: dict[str, list[Any]] = {
        "image": ["synapse.invalid/own:1"],
        "logLevel": ["DEBUG", "ERROR"],
        "config": [{"enable_search": False}, {"max_upload_size": "9M"}],
        "ingress": [
            {"enabled": False}, {"className": "outer", "adminApi": True}, {"wellKnown": {}},
            {"host": "chat.example", "wellKnown": {}, "federation": {"host": "fed.example"}},
            {"controller": "traefik"}, {"controller": "traefik-crd", "tls": {"secretName": "c"}},
            {"controller": "haproxy-ingress", "maxBodySize": "0"},
            {"controller": "gateway-api", "gateway": {"name": "outer"}},
        ],
        "router": [{}, {"replicas": 1, "image": "own:1", "holdSeconds": 5}],
        "networkPolicy": [{"enabled": False}, {"clientsFrom": [{"podSelector": {}}]}],
        "main": [{"logLevel": "WARNING"}, {"resources": {"requests": {"memory": "1024Mi"}}}],
        "postgres": [{"host": "pg", "credentials": {"secretName": "login"}},
                     {"managed": {"resources": {"limits": {"cpu": 0.5}}}}],
        "redis": [{"host": "cache", "credentials": {"secretName": "login"}}],
        "configFrom": [[{"secretName": "mail"}]],
        "files": [[{"name": "extra", "secretName": "login"}]],
        "secrets": [{"formSecret": {"secretName": "login", "key": "password"}}],
        "appservices": [[{"name": "irc", "secretName": "irc"}]],
    }  # fmt: skip
    for field, values in options.items():
        if draw(st.integers(0, 3)) == 0:
            spec[field] = draw(st.sampled_from(values))
    if "appservices" in spec:
        _dedicate(draw, found)
    if not any(SSO in group.get("serves", ()) for group in found) and draw(st.integers(0, 3)) == 0:
        secret = {"secretName": "login", "key": "password"}
        spec["matrixAuthenticationService"] = {"endpoint": "http://mas/", "secret": secret}
    return spec


def _dedicate(draw: st.DrawFn, made: list[Spec]) -> None:
    """Let the application service have a group of its own."""
    able = [
        group for group in made if group.get("serves") and not SHARED_BY_ALL & {*group["serves"]}
    ]
    if able:
        draw(st.sampled_from(able))["appservices"] = ["irc"]


USERS_SECRETS: References = {
    ObjectKey("Secret", "login"): {"username": b"role", "password": b"pass-of-login"},
    ObjectKey("Secret", "mail"): {"homeserver.yaml": b"email: {smtp_pass: word}"},
    ObjectKey("Secret", "irc"): {
        "registration.yaml": b"{id: irc, url: null, as_token: a, hs_token: h, sender_localpart: i, "
        b"namespaces: {users: [{regex: '@irc_.*', exclusive: true}]}}"
    },
}
"""The Secrets that these specs name."""


def resource(spec: Spec, name: str = "oak") -> Spec:
    """The HomeServer of a spec, as the API server hands it out."""
    kind = {"apiVersion": "homeserver-operator.io/v1alpha1", "kind": "HomeServer"}
    return as_stored({**kind, "metadata": {"name": name}, "spec": spec})
