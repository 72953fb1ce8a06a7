"""Specs made from the CRD's own schema: every one that its types and bounds allow, and some more.

What only CEL refuses is made freely; `mangled` breaks types and bounds too, as an older CRD or none
(`plan` without an API server) would let pass.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import strategies as st
from tests.core import case

Schema = dict[str, Any]

CRD = case.EXAMPLES.parent / "crds" / "homeservers.yaml"

_WORDS = st.sampled_from(["", "a", "main", "events", "x" * 300, "ä\n", "-", "0", "a-0", "{}"])
_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | _WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=2),
    max_leaves=4,
)

_OVERLAYS = st.dictionaries(
    st.sampled_from(["enable_search", "email", "redis", "turn_shared_secret", "caches", "ä"]),
    _ANYTHING,
    max_size=3,
)

_KNOWN = {"timeZone": st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Middle/Earth"])}
"""Fields whose values the schema bounds only by form: most of what it takes is nobody's name."""


def spec_schema() -> Schema:
    crd = yaml.load(CRD.read_text(), yaml.CSafeLoader)
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema: Schema = root["properties"]["spec"]
    return schema


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """Specs that the schema takes, CEL aside."""
    return _value(spec_schema())


@st.composite
def mangled(draw: st.DrawFn) -> dict[str, Any]:
    """The same with a value somewhere replaced by one that its field may not have."""
    spec = draw(specs())
    places = list(_leaves(spec))
    if places:
        holder, key = draw(st.sampled_from(places))
        holder[key] = _as_of_its_type(draw, holder[key])
    return spec


def _as_of_its_type(draw: st.DrawFn, value: Any) -> Any:
    """Still of its type: the API server checks types even where it checks nothing else."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.integers(-(2**33), 2**33))
    return draw(_WORDS)


def _leaves(node: Any) -> Any:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        if isinstance(value, dict | list):
            yield from _leaves(value)
        elif isinstance(value, bool | int | str):
            yield node, key


def _value(schema: Schema) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 4) | _text({**schema, "maxLength": 8})
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return _OVERLAYS
    kinds: dict[str, Callable[[Schema], st.SearchStrategy[Any]]] = {
        "object": _object,
        "array": _array,
        "string": _text,
        "integer": lambda s: st.integers(s.get("minimum", 0), min(s.get("maximum", 9), 12)),
        "boolean": lambda _schema: st.booleans(),
    }
    return kinds[schema["type"]](schema)


def _object(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "additionalProperties" in schema:
        keys = st.sampled_from(["cpu", "memory", "disk", "zone", "a.example/b"])
        return st.dictionaries(keys, _value(schema["additionalProperties"]), max_size=2)
    required = schema.get("required", ())
    fields = {
        name: _KNOWN[name] if name in _KNOWN else _value(child)
        for name, child in schema.get("properties", {}).items()
    }
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in fields.items() if name in required},
        optional={name: strategy for name, strategy in fields.items() if name not in required},
    )


def _array(schema: Schema) -> st.SearchStrategy[list[Any]]:
    most = min(schema["maxItems"], 3)
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        return st.lists(
            _value(schema["items"]),
            max_size=most,
            unique_by=lambda item: tuple(item[key] for key in keys),
        )
    return st.lists(_value(schema["items"]), max_size=most, unique=kind == "set")


def _text(schema: Schema) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern") or _pattern_of_rules(schema)
    least, most = schema.get("minLength", 0), schema["maxLength"]
    if not pattern:
        return st.sampled_from([word for word in ("", "a", "main", "b-0", "word") if
                                least <= len(word) <= most])  # fmt: skip
    ascii_only = st.characters(min_codepoint=33, max_codepoint=126)
    made = st.from_regex(re.compile(pattern.strip("^$"), re.ASCII), fullmatch=True,
                         alphabet=ascii_only)  # fmt: skip
    return made.map(lambda text: text[:most]).filter(
        lambda text: least <= len(text) and re.search(pattern, text) is not None
    )


def _pattern_of_rules(schema: Schema) -> str | None:
    """The first pattern that a rule of CEL asks of a string, so that most strings pass."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if found := re.search(r"(?<!!)self\.matches\('([^']*)'\)", rule["rule"]):
            return found.group(1).replace("\\\\", "\\")
    return None
