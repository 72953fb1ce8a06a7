"""What holds for every place of the schema, checked on the file alone."""

import re
from pathlib import Path

import pytest

from crds.tests.schema import Node, Schema, load, root, walk
from homeserver_operator.api import names
from homeserver_operator.api.canonical import digest

LOCK = Path(__file__).parent / "schema.lock"
"""The last revision and a hash of its schema."""

CRD = load()
NODES = list(walk(root(CRD)))
DESCRIBED = [node for node in NODES if node.path]
RULES = [(node, rule) for node in NODES for rule in node.schema.get("x-kubernetes-validations", ())]

REMEDY = re.compile(r"\b(choose|rename|remove|set|restore|leave|add|move|write|correct)\b")


def at(node: Node) -> str:
    return node.path or "the root"


def test_the_crd_is_what_the_operator_calls_it() -> None:
    spec = CRD["spec"]
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (
        names.GROUP,
        names.KIND,
        names.PLURAL,
    )
    assert [version["name"] for version in spec["versions"]] == [names.VERSION]


def test_the_crd_is_of_the_revision_that_the_operator_was_built_for() -> None:
    annotation = CRD["metadata"]["annotations"][names.CRD_REVISION_ANNOTATION]
    assert annotation == str(names.CRD_REVISION)


def without_words(schema: Schema) -> Schema:
    """The schema without what is only for people."""
    return {
        key: {name: without_words(child) for name, child in value.items()}
        if key == "properties"
        else without_words(value)
        if key in {"items", "additionalProperties"} and isinstance(value, dict)
        else value
        for key, value in schema.items()
        if key != "description"
    }


def test_another_schema_is_another_revision(request: pytest.FixtureRequest) -> None:
    """An operator that was built for it must not run by the one before."""
    revision, known = LOCK.read_text().split()
    found = digest(without_words(root(CRD)))
    changed = found != known
    assert not changed or revision != str(names.CRD_REVISION), (
        f"the schema is another one: raise CRD_REVISION (api/names.py) and the annotation "
        f"{names.CRD_REVISION_ANNOTATION} of the CRD, and run `make golden`"
    )
    if request.config.getoption("--update-golden", default=False):
        LOCK.write_text(f"{names.CRD_REVISION} {found}\n")
        return
    assert (revision, known) == (str(names.CRD_REVISION), found), "run `make golden`"


@pytest.mark.parametrize("node", DESCRIBED, ids=at)
def test_every_field_is_described_in_a_sentence(node: Node) -> None:
    description = node.schema.get("description", "")
    assert description.endswith("."), f"{node.path} has the description {description!r}"
    assert description == description.strip()


@pytest.mark.parametrize("node", NODES, ids=at)
def test_every_field_has_a_type(node: Node) -> None:
    assert "type" in node.schema or node.schema.get("x-kubernetes-int-or-string")


@pytest.mark.parametrize("node", NODES, ids=at)
def test_everything_is_bounded(node: Node) -> None:
    schema = node.schema
    if schema.get("type") == "string":
        assert {"enum", "maxLength"} & schema.keys() or schema.get("format") == "date-time"
    if schema.get("x-kubernetes-int-or-string"):
        assert "maxLength" in schema
    if schema.get("type") == "array":
        assert "maxItems" in schema
    if "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields"):
        assert "maxProperties" in schema


@pytest.mark.parametrize(
    "node", [node for node in DESCRIBED if node.schema.get("type") == "array"], ids=at
)
def test_every_list_says_how_it_is_merged(node: Node) -> None:
    assert node.schema["x-kubernetes-list-type"] in {"map", "set", "atomic"}


@pytest.mark.parametrize("node", [node for node in DESCRIBED if "default" in node.schema], ids=at)
def test_every_default_is_told_in_the_description(node: Node) -> None:
    value = node.schema["default"]
    told = str(value).lower() if isinstance(value, bool) else str(value)
    assert re.search(rf"Default: {re.escape(told)}\b", node.schema["description"])


@pytest.mark.parametrize(
    ("node", "rule"), RULES, ids=[rule["message"].split(";")[0] for _, rule in RULES]
)
def test_every_rule_names_the_field_and_the_remedy(node: Node, rule: dict[str, str]) -> None:
    subject, problem = rule["message"].split(":", 1)
    field = f"{node.path}{rule.get('fieldPath', '')}".removeprefix("spec.")
    if not node.path:
        assert subject == "metadata.name"
    elif rule.get("reason") == "FieldValueRequired":
        # A field that is missing cannot be pointed at, so the rule is at its parent.
        assert field == "spec" or subject.startswith(field)
    else:
        assert subject == field
    _, remedy = problem.split(";", 1)
    assert REMEDY.search(remedy), f"{remedy!r} does not say what to do"
