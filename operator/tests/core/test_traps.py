"""What Synapse takes silently, and then does something else than was meant: none can be written.

Each trap was measured on Synapse 1.163.2. What users could write is refused, by the schema
(crds/tests/cases) or by `validate`; what the operator renders cannot be of that kind, for any valid
spec.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.core import case, strategies
from tests.core.inventory import homeserver_yaml, listeners
from tests.core.strategies import USERS_SECRETS, Spec, resource

from crds.tests.cases import CASES
from homeserver_operator.api.roles import STREAMS
from homeserver_operator.api.spec import parse
from homeserver_operator.api.world import World
from homeserver_operator.render.homeserver_yaml import render_homeserver
from homeserver_operator.render.paths import Addresses
from homeserver_operator.topology import Topology, make_topology
from homeserver_operator.validate import Rejected, validate

Settings = Mapping[str, Any]

_ONE = ("run_background_tasks_on", "update_user_directory_from_worker",
        "notify_appservices_from_worker", "media_instance_running_background_jobs")  # fmt: skip
_SEVERAL = ("federation_sender_instances", "pusher_instances", "outbound_federation_restricted_to")


class Rendered:
    """The settings of every process of a valid spec."""

    def __init__(self, spec: Spec) -> None:
        body = resource(spec)
        server = parse(body)
        valid = validate(server, World(references={**case.generated(server), **USERS_SECRETS}))
        assert not isinstance(valid, Rejected), valid
        self.topology: Topology = make_topology(server)
        addresses = Addresses(
            {p.name: f"oak-{p.name}" for p in self.topology.replicating}, "pg", "redis"
        )
        self.settings: dict[str, Settings] = {
            process.name: render_homeserver(valid, self.topology, process, addresses)
            for process in self.topology.processes
        }
        self.instances = {p.instance for p in self.topology.processes if p.instance}


def serves(settings_: Settings) -> set[str]:
    """All names of resources that a process listens for."""
    resources = [
        each for listener in listeners(settings_) for each in listener.get("resources", ())
    ]
    return {name for each in resources for name in each["names"]}


def lists_are_lists(found: Rendered) -> None:
    for settings_ in found.settings.values():
        for key in _SEVERAL:
            assert isinstance(settings_.get(key, []), list)
        assert all(isinstance(w, list) for w in settings_.get("stream_writers", {}).values())


def duties_are_of_processes_that_exist(found: Rendered) -> None:
    for settings_ in found.settings.values():
        named = {settings_[key] for key in _ONE if key in settings_}
        named |= {name for key in _SEVERAL for name in settings_.get(key, ())}
        assert named <= found.instances - {"master"}


def no_list_is_empty(found: Rendered) -> None:
    for settings_ in found.settings.values():
        assert all(settings_[key] for key in (*_ONE, *_SEVERAL) if key in settings_)
        assert all(settings_.get("stream_writers", {"": ["a writer"]}).values())


def nobody_is_in_a_list_twice(found: Rendered) -> None:
    for settings_ in found.settings.values():
        lists = [settings_.get(key, []) for key in _SEVERAL]
        lists += settings_.get("stream_writers", {}).values()
        assert all(len(set(names)) == len(names) for names in lists)


def main_is_in_no_list(found: Rendered) -> None:
    for settings_ in found.settings.values():
        lists = [settings_.get(key, []) for key in _SEVERAL]
        lists += settings_.get("stream_writers", {}).values()
        assert not {"main", "master"} & {name for names in lists for name in names}


def every_called_process_listens(found: Rendered) -> None:
    for process in found.topology.processes:
        called = {"main" if process.is_main else process.name}
        names = serves(found.settings[process.name])
        for settings_ in found.settings.values():
            assert bool(called & settings_["instance_map"].keys()) == ("replication" in names)


def addresses_are_hosts_and_ports(found: Rendered) -> None:
    for settings_ in found.settings.values():
        for address in settings_["instance_map"].values():
            kinds = {key: type(value) for key, value in address.items()}
            assert kinds == {"host": str, "port": int}


def writers_agree_everywhere(found: Rendered) -> None:
    first, *rest = [s.get("stream_writers") for s in found.settings.values()]
    assert all(writers == first for writers in rest)
    assert set(first or ()) <= set(STREAMS.values())


def main_does_nothing_that_a_worker_does(found: Rendered) -> None:
    """No flag of old beside a list, where the list would win silently."""
    flags = {"send_federation", "start_pushers", "notify_appservices", "update_user_directory"}
    assert not any(flags & settings_.keys() for settings_ in found.settings.values())


def redis_and_postgres_always(found: Rendered) -> None:
    for settings_ in found.settings.values():
        assert settings_["redis"]["enabled"] is True
        assert settings_["database"]["name"] == "psycopg2"
        assert settings_["worker_replication_secret_path"]


def one_entry_of_resources(found: Rendered) -> None:
    for settings_ in found.settings.values():
        assert all(len(x.get("resources", [{}])) == 1 for x in listeners(settings_))


def media_listeners_where_media_are(found: Rendered) -> None:
    """On main without the media repository it would be an error, on a worker be ignored."""
    for settings_ in found.settings.values():
        assert "media" not in serves(settings_) or settings_["enable_media_repo"]


def decisions_on_media_are_written_where_media_are(found: Rendered) -> None:
    writers = found.topology.writers.get("quarantinedMediaChanges", ("master",))
    media = {p.instance for p in found.topology.processes if p.media_repository}
    assert set(writers) <= media


RENDERED: dict[str, Callable[[Rendered], None]] = {
    "a list given as a word, whose members are then its letters": lists_are_lists,
    "a duty of a worker that does not exist runs nowhere": duties_are_of_processes_that_exist,
    "an empty list gives its work to nobody": no_list_is_empty,
    "one worker twice in a list has two shares": nobody_is_in_a_list_twice,
    "main and master are names of one process, in different places": main_is_in_no_list,
    "a writer without a replication listener": every_called_process_listens,
    "a port given as a word, or a path beside a host": addresses_are_hosts_and_ports,
    "processes with other lists of writers": writers_agree_everywhere,
    "an old flag beside a list": main_does_nothing_that_a_worker_does,
    "workers without Redis, with SQLite or without a secret": redis_and_postgres_always,
    "a later entry of resources hides an earlier one": one_entry_of_resources,
    "media without the media repository": media_listeners_where_media_are,
    "quarantine where the media repository is not": decisions_on_media_are_written_where_media_are,
}

bounded = settings(max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@bounded
@given(strategies.specs())
def test_no_valid_spec_is_rendered_into_a_trap(spec: Spec) -> None:
    found = Rendered(spec)
    for check in RENDERED.values():
        check(found)


@pytest.mark.parametrize("trap", RENDERED)
def test_no_example_is_rendered_into_a_trap(trap: str) -> None:
    for found in _examples():
        RENDERED[trap](found)


@cache
def _examples() -> tuple[Rendered, ...]:
    return tuple(
        Rendered(case.load(name).body["spec"])
        for name in case.examples()
        if not case.load(name).users
    )


REFUSED_BY_VALIDATE: dict[str, dict[str, Any]] = {
    "the name of a worker left to chance": {"config": {"worker_name": "a"}},
    "a worker called master, a second main process": {
        "workers": [{"name": "master", "serves": ["sync"]}]},
    "a worker called main": {"workers": [{"name": "main", "serves": ["sync"]}]},
    "an unknown stream": {"config": {"stream_writers": {"evnts": ["a"]}}},
    "a section that replaces the whole of ours": {"config": {"instance_map": {}}},
    "a Redis that is off": {"config": {"redis": {"enabled": False}}},
    "a database that workers cannot share": {"config": {"database": {"name": "sqlite3"}}},
    "workers of historical kinds": {"config": {"worker_app": "synapse.app.federation_sender"}},
    "ways to reach main that are gone": {"config": {"worker_replication_host": "main"}},
    "one writer of a stream twice": {
        "workers": [{"name": "a", "replicas": 2, "writes": ["typing"]}]},
    "two user directories": {"workers": [{"name": "a", "replicas": 2, "runs": ["userDirectory"]}]},
    "two application service notifiers": {
        "workers": [{"name": name, "runs": ["appservices"]} for name in ("a", "b")]},
    "two background workers": {
        "workers": [{"name": "a", "replicas": 2, "runs": ["backgroundTasks"]}]},
    "several media repositories without jobs": {
        "workers": [{"name": "a", "serves": ["media"]}]},
    "several media repositories without a shared store": {
        "workers": [{"name": "a", "replicas": 2, "serves": ["media"],
                     "runs": ["mediaBackgroundJobs"]}]},
    "quarantine written without the media repository": {
        "workers": [{"name": "a", "writes": ["quarantinedMediaChanges"]}]},
    "pushers and senders by flags of old": {"config": {"start_pushers": False}},
    "requests of other servers through workers that do not exist": {
        "config": {"outbound_federation_restricted_to": ["nobody"]}},
}  # fmt: skip


@pytest.mark.parametrize("trap", REFUSED_BY_VALIDATE)
def test_a_trap_that_could_be_written_is_refused_with_its_remedy(trap: str) -> None:
    server = parse(resource({"serverName": "wood.example", **REFUSED_BY_VALIDATE[trap]}))
    found = validate(server, World(references=case.generated(server)))
    assert isinstance(found, Rejected)
    assert found.reason == "InvalidSpec"
    assert found.message.startswith("spec.")
    assert ":" in found.message


@pytest.mark.parametrize(
    ("trap", "says"),
    [
        ("a misspelt stream", "spec.workers[0].writes[0]: Unsupported value"),
        ("a misspelt duty", "spec.workers[0].runs[0]: Unsupported value"),
        ("a misspelt field", 'unknown field "spec.workers[0].replica"'),
        ("one value twice", "spec.workers[0].serves[1]: Duplicate value"),
        ("a name too long for what is made of it", "metadata.name: at most 30 characters"),
    ],
)
def test_a_trap_that_the_schema_refuses_has_its_case(trap: str, says: str) -> None:
    assert any(each.says.startswith(says) for each in CASES), trap


def test_redis_has_no_sentinel_that_synapse_would_ignore() -> None:
    known = {"enabled", "host", "port", "dbid", "username", "password_path", "use_tls", "ca_file",
             "certificate_file", "private_key_file"}  # fmt: skip
    for name in case.names():
        assert homeserver_yaml(name, "main")["redis"].keys() <= known
