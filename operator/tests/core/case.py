"""The case library: small HomeServers that show one feature each, with the Secrets they name."""

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from homeserver_operator.api.spec import HomeServer, parse
from homeserver_operator.api.world import Defaults, Object, ObjectKey, World
from homeserver_operator.build import Manifests, build
from homeserver_operator.build.images import settle_images
from homeserver_operator.fences import Fences, make_claims, settle
from homeserver_operator.topology import Topology, make_topology
from homeserver_operator.validate import ValidHomeServer, validate
from homeserver_operator.validate.sources import Source, sources_of

CASES = Path(__file__).parent / "cases"
EXAMPLES = Path(__file__).parents[3] / "examples"

DEFAULTS = Defaults(
    image="runtime.invalid/synapse:7.1",
    postgres_image="stores.invalid/postgres:7.2",
    redis_image="stores.invalid/redis:7.3",
    router_image="router.invalid/router:7.4",
)

SIGNING_KEY = b"ed25519 a_test 5qXjZ0vJmS0bYF2m1Wq3ox7Yk9o8d3pXy0l1k2h3g4s\n"

References = dict[ObjectKey, dict[str, bytes] | None]


@dataclass(frozen=True)
class Case:
    """A HomeServer as the API server would hand it out, and the data of what it refers to."""

    name: str
    body: Object
    users: References

    @property
    def server(self) -> HomeServer:
        return parse(self.body)

    @property
    def references(self) -> References:
        return {**generated(self.server), **self.users}

    @property
    def world(self) -> World:
        return World(references=self.references)

    @property
    def valid(self) -> ValidHomeServer:
        outcome = validate(self.server, self.world)
        assert isinstance(outcome, ValidHomeServer), outcome
        return outcome

    @property
    def topology(self) -> Topology:
        return make_topology(self.server)

    @property
    def directory(self) -> Path:
        return CASES / self.name


@cache
def manifests(name: str) -> Manifests:
    """Everything that the case wants; nobody may change it in place."""
    return build_all(load(name))


def build_all(case: Case, defaults: Defaults = DEFAULTS) -> Manifests:
    images = settle_images(case.server, case.world, defaults)
    return build(case.valid, case.topology, images, fences_of(case))


def fences_of(case: Case) -> Fences:
    """The fences of a new homeserver."""
    images = settle_images(case.server, case.world, DEFAULTS)
    return settle(make_claims(case.valid, case.topology, images.synapse), case.world)


@cache
def load(name: str) -> Case:
    """A case, shared by all tests; nobody may change it in place."""
    return read(name)


def read(name: str) -> Case:
    """A case of the caller's own."""
    directory = CASES / name
    own = directory / "homeserver.yaml"
    # A case without a resource of its own is an example.
    source = own if own.exists() else examples()[name]
    users = directory / "references.yaml"
    documents = yaml.safe_load_all(users.read_text()) if users.exists() else ()
    return Case(name, as_stored(yaml.safe_load(source.read_text())), dict(map(_data, documents)))


def names() -> list[str]:
    return sorted(path.name for path in CASES.iterdir() if path.is_dir())


@cache
def examples() -> dict[str, Path]:
    """The examples by the names that their cases have: `example-<name>`, and `example` itself."""
    return {
        "example" if path.stem == "homeserver" else f"example-{path.stem}": path
        for path in sorted(EXAMPLES.glob("*.yaml"))
    }


def as_stored(body: Object, *, generation: int = 3) -> dict[str, Any]:
    """The resource with what the API server adds to it."""
    metadata = {"namespace": "meadow", "uid": "5f0c-uid", "generation": generation}
    return {**body, "metadata": {**metadata, **body["metadata"]}}


def generated(server: HomeServer) -> References:
    """Content for every Secret that the operator would generate."""
    return {
        source.object: {key: _made(source, key) for _file, key in source.keys}
        for source in sources_of(server)
        if source.generates
    }


def _made(source: Source, key: str) -> bytes:
    if source.generates == "signing-key":
        return SIGNING_KEY
    return f"made-{key}-of-{source.object.name}".encode()


def _data(document: Any) -> tuple[ObjectKey, dict[str, bytes]]:
    text = {**document.get("stringData", {})}
    if document["kind"] == "ConfigMap":
        text |= document.get("data", {})
        encoded = document.get("binaryData", {})
    else:
        encoded = document.get("data", {})
    data = {key: value.encode() for key, value in text.items()}
    data |= {key: base64.b64decode(value) for key, value in encoded.items()}
    return ObjectKey(document["kind"], document["metadata"]["name"]), data
