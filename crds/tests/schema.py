"""Reads the CRD's schema, and walks it; knows nothing of single fields."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CRD_FILE = Path(__file__).parents[1] / "homeservers.yaml"
CRD_NAME = "homeservers.homeserver-operator.io"

Schema = dict[str, Any]


class Node(NamedTuple):
    """One place of the schema; `path` is written like ``spec.workers[].name``."""

    path: str
    schema: Schema


def load() -> dict[str, Any]:
    """Return the CRD as it is in the file, anchors resolved."""
    crd: dict[str, Any] = yaml.safe_load(CRD_FILE.read_text())
    return crd


def root(crd: dict[str, Any]) -> Schema:
    """Return the schema of the one version."""
    (version,) = crd["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[Node]:
    """Yield this place and all below it, parents first."""
    yield Node(path, schema)
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*")
