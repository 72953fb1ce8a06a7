"""From a parsed HomeServer and what it refers to, to one that can be built, or a refusal.

After this step nothing looks at missing objects, bad overlays or impossible groups again: a
`ValidHomeServer` can be built. Pure: the referenced data come as values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import ObjectKey, World
from homeserver_operator.validate import (
    appservices,
    edge,
    groups,
    media,
    overlay,
    restarts,
    stores,
)
from homeserver_operator.validate.appservices import Registration
from homeserver_operator.validate.documents import UnreadableError, read_yaml
from homeserver_operator.validate.sources import REDIS, REPLICATION, S3, Source, sources_of


@dataclass(frozen=True)
class ValidHomeServer:
    """A HomeServer whose spec holds together and whose Secrets are all there.

    `material` is what the processes mount, by purpose: file name to content. `registrations` are
    those of the application services, by their names in the spec, `secret_options` the keys of
    homeserver.yaml that Secrets set.
    """

    spec: HomeServer
    material: Mapping[str, Mapping[str, bytes]]
    registrations: Mapping[str, Registration] = field(default_factory=dict)
    secret_options: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rejected:
    """Why a HomeServer is not acted upon: a reason from the closed list, and what to do."""

    reason: str
    message: str
    retry_after: float | None = None


INVALID_SPEC = "InvalidSpec"
SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
GENERATED_SECRET_LOST = "GeneratedSecretLost"  # noqa: S105 - a reason, not a secret

RECHECK = 15.0
"""Seconds until a missing Secret is looked for again; Secrets of users are not watched."""


def validate(server: HomeServer, world: World) -> ValidHomeServer | Rejected:
    """Check everything that the CRD cannot, with every problem in one message."""
    if found := list(_spec_problems(server)):
        return Rejected(INVALID_SPEC, "; ".join(found))
    wanted = sources_of(server)
    if lost := [source for source in wanted if source.generates and not _data(source, world)]:
        return Rejected(GENERATED_SECRET_LOST, _lost(lost, world), RECHECK)
    if found := [problem for source in wanted for problem in _source_problems(source, world)]:
        return Rejected(SECRET_MISSING, "; ".join(found), RECHECK)
    material = {source.purpose: _material(source, world) for source in wanted}
    registrations, unregistered = appservices.read_registrations(server, material)
    documents, unfit = _read_config_from(wanted, material, overlay.owned_by(server))
    if found := [*unfit, *unregistered]:
        return Rejected(INVALID_SPEC, "; ".join(found), RECHECK)
    secret_options = frozenset(key for document in documents for key in document)
    return ValidHomeServer(server, material, registrations, secret_options)


def _spec_problems(server: HomeServer) -> Iterator[str]:
    yield from groups.problems(server)
    yield from appservices.group_problems(server)
    yield from media.problems(server)
    yield from stores.problems(server)
    yield from edge.problems(server)
    yield from restarts.problems(server)
    owned = overlay.owned_by(server)
    yield from overlay.problems(server.config, "spec.config", owned)
    yield from overlay.problems(server.main.config, "spec.main.config", owned)
    for group in server.workers:
        path = f"spec.workers[{group.name}].config"
        yield from overlay.problems(group.options.config, path, owned)


def _data(source: Source, world: World) -> Mapping[str, bytes] | None:
    return world.references.get(source.object)


def _source_problems(source: Source, world: World) -> Iterator[str]:
    kind, name = source.object
    data = _data(source, world)
    if data is None:
        yield f"{source.path}: {kind} {name} does not exist: create it in the same namespace"
        return
    for file, key in source.keys:
        if key not in data:
            there = ", ".join(sorted(data)) or "none"
            yield f"{source.path}: {kind} {name} has no key {key}; its keys: {there}"
        elif not data[key].strip():
            yield f"{source.path}: key {key} of {kind} {name} is empty"
        elif source.purpose == REPLICATION and len(data[key].split()) > 1:
            # Synapse splits the header that carries it, and answers 500 to every replication call.
            yield f"{source.path}: key {key} of {kind} {name} holds white space: make one without"
        elif source.purpose == S3 and data[key] != data[key].strip():
            # It goes into a signature as it is, and uploads would fail one by one.
            yield (
                f"{source.path}: key {key} of {kind} {name} begins or ends with white space: "
                "make one without, for example by printf instead of echo"
            )
        elif source.purpose == REDIS and file == "username" and not _is_text(data[key]):
            yield f"{source.path}: key {key} of {kind} {name} is no text in UTF-8"


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _material(source: Source, world: World) -> Mapping[str, bytes]:
    data = _data(source, world) or {}
    return {file: data[key] for file, key in source.keys} if source.keys else dict(data)


def _read_config_from(
    wanted: tuple[Source, ...],
    material: Mapping[str, Mapping[str, bytes]],
    owned: Mapping[str, str],
) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """The documents of configFrom, and what is wrong with them."""
    documents: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for source in wanted:
        if not source.path.startswith("spec.configFrom"):
            continue
        where = f"{source.path}: key {source.keys[0][1]} of Secret {source.object.name}"
        try:
            document = read_yaml(material[source.purpose]["homeserver.yaml"])
        except UnreadableError as error:
            problems.append(f"{where} {error}")
            continue
        if isinstance(document, Mapping):
            documents.append(document)
            problems += overlay.owned_problems(document, where, owned)
        else:
            problems.append(f"{where} must hold a YAML mapping, as homeserver.yaml does")
    return tuple(documents), problems


def _lost(lost: list[Source], world: World) -> str:
    return "; ".join(_remedy(source, world) for source in lost)


def _remedy(source: Source, world: World) -> str:
    """How to get a generated Secret back: from the copy that running pods mount, or a backup."""
    name = source.object.name
    copies = sorted(
        key.name
        for key in world.children
        if key.kind == "Secret"
        and key.name.startswith(f"{name}-")
        and len(key.name) == len(name) + 11
    )
    base = (
        f"Secret {name} is gone while the homeserver's data exist; a new one would not fit them, "
        "so none is made and the pods go on with their copy"
    )
    if not copies:
        return f"{base}. Create it again from a backup"
    keys = ", ".join(file for file, _key in source.keys)
    return (
        f"{base}. Create Secret {name} (keys: {keys}) again from a backup, or from the copy "
        f"{copies[-1]} that the pods mount"
    )


def reference_keys(server: HomeServer) -> frozenset[ObjectKey]:
    """Every Secret and ConfigMap whose content `validate` needs."""
    return frozenset(source.object for source in sources_of(server))
