"""The reference that people read says what the CRD says."""

from crds.tests.schema import load, root, walk
from docs.generate_reference import COMMAND, REFERENCE_FILE, render


def test_the_committed_reference_is_current() -> None:
    current = REFERENCE_FILE.read_text() == render(load())
    assert current, f"run: {COMMAND}"  # better than both files in full


def test_the_reference_has_every_description_and_every_refusal() -> None:
    text = render(load()).replace("&lt;", "<").replace("&gt;", ">").replace("\\|", "|")
    for node in walk(root(load())):
        if not node.path.endswith(("[]", ".*")) or "properties" in node.schema:
            assert node.schema["description"] in text, node.path
        for rule in node.schema.get("x-kubernetes-validations", ()):
            assert rule["message"] in text
