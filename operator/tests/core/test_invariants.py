"""Rules that hold for every object of every case, each stated once."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import kubernetes_validate
import pytest
import yaml
from tests.core import case
from tests.core.filesystem import named_object

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    HTTP_PORT,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    REPLICATION_PORT,
    REVISION_LABEL,
)
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.build import build
from homeserver_operator.build.images import settle_images
from homeserver_operator.build.preflight import build_preflight

KUBERNETES = "1.34"

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
PATH = re.compile(r"""(?<=[\s"'])/(?:secrets|files|run|config)/[^\s"',\]]+""")
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")

every_case = pytest.mark.parametrize("name", case.names())


@cache
def objects(name: str) -> dict[ObjectKey, Object]:
    """All objects of a case by key, the pod that would check a change included."""
    built = case.manifests(name)
    preflight = build_preflight(
        case.load(name).server, tuple(built.synapse), image=built.images.synapse,
        pull_policy=built.images.pull_policy, mounts=built.mounts,
    )  # fmt: skip
    return {key_of(manifest): manifest for manifest in (*built.all(), preflight)}


def key_of(manifest: Object) -> ObjectKey:
    return ObjectKey(manifest["kind"], manifest["metadata"]["name"])


def pod_templates(name: str) -> Iterator[tuple[str, Object]]:
    for key, manifest in objects(name).items():
        if key.kind == "Deployment":
            yield key.name, manifest["spec"]["template"]
        elif key.kind == "Pod":
            yield key.name, manifest


def of_kind(name: str, kind: str) -> dict[str, Object]:
    return {key.name: found for key, found in objects(name).items() if key.kind == kind}


def selected(name: str, service: Object) -> list[str]:
    """Names of the Deployments whose pods a Service selects."""
    return [
        deployment
        for deployment, found in of_kind(name, "Deployment").items()
        if service["spec"]["selector"].items()
        <= found["spec"]["template"]["metadata"]["labels"].items()
    ]


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """The library reads megabytes of JSON anew for each object."""
    with pytest.MonkeyPatch.context() as patch:
        read = kubernetes_validate.utils.schema_contents
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(read))
        yield


@every_case
def test_kubernetes_would_take_every_object(name: str) -> None:
    for manifest in objects(name).values():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@every_case
def test_no_two_objects_have_one_name(name: str) -> None:
    built = case.manifests(name).all()
    assert len({key_of(manifest) for manifest in built}) == len(built)


@every_case
def test_every_kind_is_one_that_the_operator_manages(name: str) -> None:
    for manifest in objects(name).values():
        assert manifest["apiVersion"] == BY_KIND[manifest["kind"]].api_version


@every_case
def test_names_and_labels_are_legal(name: str) -> None:
    for key, manifest in objects(name).items():
        pattern = DNS_LABEL if key.kind == "Service" else DNS_SUBDOMAIN
        assert pattern.fullmatch(key.name), key
        assert len(key.name) <= (63 if key.kind in {"Service", "Deployment", "Pod"} else 253), key
        labels = dict(manifest["metadata"]["labels"])
        if key.kind == "Deployment":
            labels |= manifest["spec"]["template"]["metadata"]["labels"]
        for label, value in labels.items():
            assert len(label.rpartition("/")[2]) <= 63, label
            assert len(value) <= 63, value
            assert LABEL.fullmatch(value), value


@every_case
def test_everything_is_found_again_by_its_labels(name: str) -> None:
    server = case.load(name).server
    for key, manifest in objects(name).items():
        labels = manifest["metadata"]["labels"]
        assert labels[MANAGED_BY_LABEL] == MANAGED_BY, key
        assert labels[HOMESERVER_LABEL] == server.key.name, key
        assert labels["app.kubernetes.io/component"], key
        assert manifest["metadata"]["namespace"] == server.key.namespace, key


@every_case
def test_everything_goes_with_the_homeserver_but_data(name: str) -> None:
    server = case.load(name).server
    kept = set()
    if server.retention.media == "Retain":
        kept.add(f"{server.key.name}-media")
    if server.retention.database == "Retain":
        kept.add(f"{server.key.name}-postgres")
    for key, manifest in objects(name).items():
        owners = manifest["metadata"].get("ownerReferences", [])
        if key.kind == "PersistentVolumeClaim" and key.name in kept:
            assert owners == []
        else:
            (owner,) = owners
            assert (owner["uid"], owner["controller"]) == (server.uid, True), key


@every_case
def test_pods_meet_the_restricted_standard(name: str) -> None:
    for where, template in pod_templates(name):
        spec = template["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, where
        assert security["runAsUser"] > 0, where
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), where
        assert spec["automountServiceAccountToken"] is False, where
        assert spec["enableServiceLinks"] is False, where
        for container in spec["containers"] + spec.get("initContainers", []):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, where
            assert own["capabilities"] == {"drop": ["ALL"]}, where
            assert own["readOnlyRootFilesystem"] is True, where
            assert "privileged" not in own, where
            assert not any("hostPort" in port for port in container.get("ports", ())), where
            probes = [value for field, value in container.items() if field.endswith("Probe")]
            assert not any("host" in probe.get("httpGet", {}) for probe in probes), where
        allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert {kind for v in spec["volumes"] for kind in v if kind != "name"} <= allowed, where


@every_case
def test_no_secret_is_anywhere_but_in_secrets(name: str) -> None:
    loaded = case.load(name)
    named = loaded.server.redis
    # Synapse reads a Redis user name from homeserver.yaml only; it is a name, not a secret.
    public = {getattr(named, "username_key", None)}
    values = {
        value.decode().strip()
        for reference, data in loaded.references.items()
        if reference.kind == "Secret" and data
        for key, value in data.items()
        if key not in public
    }
    words = values | {base64.b64encode(value.encode()).decode() for value in values}
    assert words
    for key, manifest in objects(name).items():
        if key.kind != "Secret":
            text = json.dumps(manifest)
            assert not [word for word in words if word in text], key


@every_case
def test_what_pods_mount_exists(name: str) -> None:
    """Of our making; a claim may be the user's."""
    theirs = {case.load(name).server.media.existing_claim}
    for where, template in pod_templates(name):
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for volume in volumes.values():
            key = named_object(volume)
            assert key is None or key.name in theirs or key in objects(name), (where, key)
        mounts = [m for container in spec["containers"] for m in container["volumeMounts"]]
        assert {mount["name"] for mount in mounts} == set(volumes), where
        assert len({mount["mountPath"] for mount in mounts}) == len(mounts), where


@every_case
def test_what_changes_is_mounted_under_an_immutable_name(name: str) -> None:
    for key, manifest in objects(name).items():
        if key.kind in {"ConfigMap", "Secret"}:
            assert manifest["immutable"] is True
            assert re.search(r"-[0-9a-f]{10}$", key.name), key


@every_case
def test_selectors_select_and_named_ports_exist(name: str) -> None:
    for where, found in of_kind(name, "Deployment").items():
        labels = found["spec"]["template"]["metadata"]["labels"]
        assert found["spec"]["selector"]["matchLabels"].items() <= labels.items(), where
        for container in found["spec"]["template"]["spec"]["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in (v for field, v in container.items() if field.endswith("Probe")):
                for check in ("httpGet", "tcpSocket"):
                    assert probe.get(check, {}).get("port") in ports | {None}, where
    for where, service in of_kind(name, "Service").items():
        behind = selected(name, service)
        assert behind, f"Service {where} selects nothing"
        (port,) = service["spec"]["ports"]
        for deployment in behind:
            template = of_kind(name, "Deployment")[deployment]["spec"]["template"]
            open_ports = template["spec"]["containers"][0]["ports"]
            assert port["targetPort"] in {p["name"] for p in open_ports}, (where, deployment)


@every_case
def test_no_deployment_selects_the_pods_of_another(name: str) -> None:
    deployments = of_kind(name, "Deployment")
    for where, found in deployments.items():
        wanted = found["spec"]["selector"]["matchLabels"].items()
        matching = [
            other
            for other, candidate in deployments.items()
            if wanted <= candidate["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert matching == [where]
        for preflight in of_kind(name, "Pod").values():
            assert not wanted <= preflight["metadata"]["labels"].items()


@every_case
def test_ingresses_lead_to_clients_ports_only(name: str) -> None:
    services = of_kind(name, "Service")
    for ingress in of_kind(name, "Ingress").values():
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = services[backend["name"]]
                (port,) = service["spec"]["ports"]
                assert port["port"] == backend["port"]["number"] == HTTP_PORT
                assert port["targetPort"] == "http"
                assert selected(name, service)


@every_case
def test_the_instance_map_leads_to_exactly_the_process_that_it_names(name: str) -> None:
    built, topology = case.manifests(name), case.load(name).topology
    services = of_kind(name, "Service")
    by_process = {process.instance: process for process in topology.processes}
    for process in topology.processes:
        settings = homeserver_yaml(name, process.name)
        for called, address in settings["instance_map"].items():
            instance = "master" if called == "main" else called
            service = services[address["host"]]
            (port,) = service["spec"]["ports"]
            assert port["port"] == address["port"] == REPLICATION_PORT
            assert service["spec"]["publishNotReadyAddresses"] is True
            target = built.synapse[by_process[instance].name]["metadata"]["name"]
            assert selected(name, service) == [target]
            listens = homeserver_yaml(name, by_process[instance].name)
            ports = [listener["port"] for listener in listeners(listens)]
            assert REPLICATION_PORT in ports, instance
        writers = {w for names in settings.get("stream_writers", {}).values() for w in names}
        assert writers <= settings["instance_map"].keys()


@cache
def homeserver_yaml(name: str, process: str) -> Object:
    built = case.manifests(name)
    config = of_kind(name, "ConfigMap")[built.mounts.config[process]]
    settings: Object = yaml.load(config["data"]["homeserver.yaml"], yaml.CSafeLoader)
    return settings


def listeners(settings: Object) -> list[Object]:
    return list(settings.get("listeners", settings.get("worker_listeners", ())))


@every_case
def test_every_path_in_a_process_files_is_mounted(name: str) -> None:
    built = case.manifests(name)
    for process, deployment in built.synapse.items():
        spec = deployment["spec"]["template"]["spec"]
        config = of_kind(name, "ConfigMap")[built.mounts.config[process]]["data"]
        mounted = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        text = config["homeserver.yaml"] + config["launcher.yaml"]
        for path in set(PATH.findall(text)):
            assert any(path == where or path.startswith(f"{where}/") for where in mounted), path
        media = homeserver_yaml(name, process)["enable_media_repo"]
        assert ("/media" in mounted) == media


@every_case
def test_no_yaml_is_written_with_anchors(name: str) -> None:
    for config in of_kind(name, "ConfigMap").values():
        for file, text in config.get("data", {}).items():
            if file.endswith(".yaml"):
                events = yaml.parse(text, yaml.CSafeLoader)
                assert not any(getattr(event, "anchor", None) for event in events), file


@every_case
def test_the_revision_is_the_template(name: str) -> None:
    """Another revision when something changes in the template, and only then."""
    loaded = case.load(name)
    again = build(loaded.valid, loaded.topology, settle_images(loaded.server, loaded.world,
                                                               case.DEFAULTS))  # fmt: skip
    images = replace(case.DEFAULTS, image="other:1")
    other = build(loaded.valid, loaded.topology,
                  settle_images(loaded.server, loaded.world, images))  # fmt: skip
    for process, deployment in case.manifests(name).synapse.items():
        assert revision(again.synapse[process]) == revision(deployment)
        assert (revision(other.synapse[process]) != revision(deployment)) == (
            loaded.server.image is None
        )
    revisions = [revision(d) for d in case.manifests(name).synapse.values()]
    assert len(set(revisions)) == len(revisions)


def revision(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["metadata"]["labels"][REVISION_LABEL])
