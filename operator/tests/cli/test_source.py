"""A HomeServer in a file is read as the cluster would read it, or refused with the field's name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from homeserver_operator.cli.output import CliError
from homeserver_operator.cli.source import from_file, parsed


def written(path: Path, spec: str) -> str:
    file = path / "homeserver.yaml"
    file.write_text(f"kind: HomeServer\nmetadata: {{name: oak}}\nspec: {spec}\n")
    return str(file)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param("2025-01-01", "2025-01-01", id="a day"),
        pytest.param("2025-01-01T02:00:00Z", "2025-01-01T02:00:00Z", id="a moment"),
        pytest.param("23:30", "23:30", id="a time of day"),
        pytest.param("1:30.5", "1:30.5", id="minutes and seconds"),
        pytest.param("2330", 2330, id="a number"),
        pytest.param("2.5", 2.5, id="a fraction"),
        pytest.param("on", True, id="on"),
    ],
)
def test_a_value_is_what_it_is_to_kubectl(tmp_path: Path, text: str, read: object) -> None:
    found = from_file(written(tmp_path, f"{{value: {text}}}"), "chat")
    assert found["spec"] == {"value": read}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param(
            {"ingress": {"controller": "nginx"}},
            "spec.ingress.controller: 'nginx' is none of gateway-api, haproxy-ingress, "
            "ingress-nginx, traefik, traefik-crd",
            id="a controller by half of its name",
        ),
        pytest.param(
            {"workers": [{"name": "a", "replicas": "2"}]},
            "spec.workers[a].replicas: '2' is not a whole number",
            id="a number in quotes",
        ),
        pytest.param(
            {"workers": [{"name": "a", "serves": ["sync", "sinc"]}]},
            "spec.workers[a].serves: 'sinc' is none of accountData, ",
            id="a class that nobody knows",
        ),
        pytest.param(
            {"workers": [{"name": "a", "writes": ["to_device"]}]},
            "spec.workers[a].writes: 'to_device' is none of accountData, ",
            id="a stream by the name that Synapse has for it",
        ),
        pytest.param(
            {"workers": [{"name": "a", "runs": ["pushers"]}]},
            "spec.workers[a].runs: 'pushers' is none of appservices, ",
            id="a duty that nobody knows",
        ),
    ],
)
def test_what_the_schema_refuses_is_refused_with_its_field(
    tmp_path: Path, spec: dict[str, Any], told: str
) -> None:
    text = yaml.safe_dump({"serverName": "oak.example", **spec}, default_flow_style=True)
    body = from_file(written(tmp_path, text), "chat")
    with pytest.raises(CliError) as refused:
        parsed(body)
    assert str(refused.value).startswith(f"not a HomeServer as its schema wants it: {told}")
