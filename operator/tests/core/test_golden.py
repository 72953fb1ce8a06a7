"""Every case's objects, as files for people to review: `pytest --update-golden` rewrites them."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core import case
from tests.core.summary import summary

from homeserver_operator.api.world import Object
from homeserver_operator.render import to_yaml


@pytest.mark.parametrize("name", case.names())
def test_objects_are_as_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    directory = case.CASES / name / "golden"
    wanted = dict(golden_files(name))
    if request.config.getoption("--update-golden"):
        shutil.rmtree(directory, ignore_errors=True)
        for path, text in wanted.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
    found = {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }
    assert sorted(found) == sorted(wanted), "files without an object, or objects without a file"
    for path, text in sorted(wanted.items()):
        assert found[path] == text, f"{directory / path} is not as built"


def test_every_case_has_an_input() -> None:
    """A directory that only holds old goldens would test nothing."""
    without = [
        name for name in case.names() if not (case.CASES / name / "homeserver.yaml").exists()
    ]
    assert without == sorted(case.examples()), "and every example is a case"


def golden_files(name: str) -> Iterator[tuple[str, str]]:
    """Path under golden/ and text: an object each, files of ConfigMaps beside theirs.

    Of the examples, which put together what the cases show one by one, a summary does.
    """
    if name in case.examples() and name != "example":
        yield "summary.yaml", to_yaml(summary(name))
        return
    for manifest in case.manifests(name).all():
        stem = file_stem(manifest)
        if manifest["kind"] == "ConfigMap" and "data" in manifest:
            for file, text in manifest["data"].items():
                yield f"{stem}/{file}", text
            beside = dict.fromkeys(manifest["data"], f"see {stem}/")
            yield f"{stem}.yaml", to_yaml({**manifest, "data": beside})
        else:
            yield f"{stem}.yaml", to_yaml(manifest)


def file_stem(manifest: Object) -> str:
    """<kind>-<name>, without the hash of the content, so that a change shows as a change."""
    name = manifest["metadata"]["name"]
    if manifest.get("immutable"):
        name = re.sub(r"-[0-9a-f]{10}$", "", name)
    return str(Path(f"{manifest['kind'].lower()}-{name}"))
