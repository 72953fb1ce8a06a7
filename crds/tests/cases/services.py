"""Services beside the homeserver: application services, and who does the logins."""

from typing import Any

from crds.tests.cases.case import Case, Spec, spec


def appservice(**fields: Any) -> Spec:
    """A spec with one application service."""
    return spec(appservices=[{"name": "bridge", "secretName": "bridge", **fields}])


def mas(**fields: Any) -> Spec:
    """A spec with the Matrix Authentication Service."""
    secret = {"secretName": "mas", "key": "secret"}
    service = {"endpoint": "http://mas:8080/", "secret": secret, **fields}
    return spec(matrixAuthenticationService=service)


SERVICES = (
    Case(
        sentence="the name of an application service is a folder's",
        good=appservice(name="irc-2", key="irc.yaml"),
        bad=appservice(name="irc_2"),
        says="appservices[].name: must be lower case letters",
    ),
    Case(
        sentence="application services are told by their names",
        good=appservice(),
        bad=spec(appservices=[{"name": "a", "secretName": name} for name in ("one", "two")]),
        says='spec.appservices[1]: Duplicate value: {"name":"a"}',
    ),
    Case(
        sentence="the authentication service is at a URL",
        good=mas(endpoint="https://mas.example/below", service={"name": "mas", "port": 8080}),
        bad=mas(endpoint="mas:8080"),
        says="matrixAuthenticationService.endpoint: must be an http or https URL",
    ),
    Case(
        sentence="the port of the authentication service's Service is a number",
        good=mas(service={"name": "mas", "port": 1}),
        bad=mas(service={"name": "mas", "port": 0}),
        says="spec.matrixAuthenticationService.service.port",
    ),
    Case(
        sentence="there is no SSO of Synapse's beside the authentication service",
        good={**mas(), "workers": [{"name": "a", "serves": ["login"]}]},
        bad={**mas(), "workers": [{"name": "a", "serves": ["sso"]}]},
        says="workers: no group serves sso where matrixAuthenticationService does the logins",
    ),
)
