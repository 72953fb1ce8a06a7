"""Writes docs/reference.md from the CRD: one table for each object of the schema.

Run it after a change of the CRD; with --check it writes nothing but tells what is out of date.
Must not add words of its own about a field: what people need to know stands in the CRD.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
CRD_FILE: Final = ROOT / "crds" / "homeservers.yaml"
REFERENCE_FILE: Final = ROOT / "docs" / "reference.md"

COMMAND: Final = "python docs/generate_reference.py"
OPEN: Final = "x-kubernetes-preserve-unknown-fields"
RULES: Final = "x-kubernetes-validations"

Schema = dict[str, Any]


def render(crd: Schema) -> str:
    """Return the reference as Markdown."""
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    names = crd["spec"]["names"]
    lines = [
        f"<!-- Generated from crds/{CRD_FILE.name} by `{COMMAND}`: do not edit. -->",
        f"# {names['kind']} reference",
        "",
        _introduction(crd, version["name"]),
        "",
        schema["description"],
        *_rules(schema),
    ]
    for path in ("spec", "status"):
        lines += _section(path, schema["properties"][path])
    return "\n".join(lines) + "\n"


def _introduction(crd: Schema, version: str) -> str:
    group, names = crd["spec"]["group"], crd["spec"]["names"]
    return (
        f"`apiVersion: {group}/{version}`, `kind: {names['kind']}`, short name "
        f"`{names['shortNames'][0]}`. `kubectl explain {names['singular']}.spec` tells the same."
    )


def _section(path: str, schema: Schema) -> Iterator[str]:
    """Yield one object's heading, table and rules, then those of the objects below it."""
    properties: dict[str, Schema] = schema["properties"]
    yield from ("", f"## {path}", "", schema["description"], "")
    yield from ("| field | type | what it is |", "| --- | --- | --- |")
    for name, child in properties.items():
        need = " **Required.**" if name in schema.get("required", ()) else ""
        text = f"{child['description']}{need}{_more(path, name, child)}"
        yield f"| `{name}` | {_type(child)} | {_cell(text)} |"
    # An object's own rules stand in its own section.
    yield from _rules(schema, *(each for each in properties.values() if "properties" not in each))
    for name, child in properties.items():
        nested = child.get("items", child)
        if "properties" in nested:
            yield from _section(f"{path}.{name}{'[]' if 'items' in child else ''}", nested)


def _rules(*schemas: Schema) -> list[str]:
    messages = [rule["message"] for schema in schemas for rule in schema.get(RULES, ())]
    if not messages:
        return []
    return ["", "What is refused, and in which words:", "", *(f"- {text}" for text in messages)]


def _type(schema: Schema) -> str:
    """Return the type in Kubernetes' usual words, with the values that are allowed."""
    name: str = schema.get("type", "quantity")
    if "enum" in schema:
        name = " \\| ".join(f"`{value}`" for value in schema["enum"])
    elif "items" in schema:
        name = f"list of {_type(schema['items'])}"
    elif "additionalProperties" in schema:
        name = f"map of {_type(schema['additionalProperties'])}"
    elif schema.get(OPEN):
        name = "free object"
    elif {"minimum", "maximum"} <= schema.keys():
        name = f"integer, {schema['minimum']} to {schema['maximum']}"
    return name


def _more(path: str, name: str, schema: Schema) -> str:
    """Return a link to the section that describes what is inside, if there is one."""
    suffix = "[]" if "items" in schema else ""
    if "properties" not in schema.get("items", schema):
        return ""
    title = f"{path}.{name}{suffix}"
    anchor = "".join(letter for letter in title.lower() if letter.isalnum() or letter in "-_ ")
    return f" See [{title}](#{anchor.replace(' ', '-')})."


def _cell(text: str) -> str:
    """Escape what would end the cell or be taken for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def main() -> int:
    """Write the file, or tell what is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    check = parser.parse_args().check
    wanted = render(yaml.safe_load(CRD_FILE.read_text()))
    if not check:
        REFERENCE_FILE.write_text(wanted)
        return 0
    current = REFERENCE_FILE.read_text() if REFERENCE_FILE.exists() else ""
    difference = difflib.unified_diff(
        current.splitlines(keepends=True), wanted.splitlines(keepends=True), "committed", "wanted"
    )
    sys.stdout.writelines(difference)
    if current != wanted:
        sys.stderr.write(f"docs/reference.md is out of date; run: {COMMAND}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
