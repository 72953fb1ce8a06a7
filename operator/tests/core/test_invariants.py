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
from tests.core.inventory import files, homeserver_yaml, key_of, objects, of_kind, pod_templates

from homeserver_operator.api.kinds import BY_KIND
from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    REVISION_LABEL,
)
from homeserver_operator.api.world import Object, ObjectKey

KUBERNETES = "1.34"

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
PATH = re.compile(r"""(?<=[\s"'])/(?:secrets|files|run|config)/[^\s"',\]]+""")
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")

every_case = pytest.mark.parametrize("name", case.names())


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """The library reads megabytes of JSON anew for each object."""
    with pytest.MonkeyPatch.context() as patch:
        read = kubernetes_validate.utils.schema_contents
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(read))
        yield


@every_case
def test_kubernetes_would_take_every_object(name: str) -> None:
    for key, manifest in objects(name).items():
        # Kinds that come with others' CRDs are applied to a real API server, see tests/traefik.
        if BY_KIND[key.kind].comes_with is None:
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
        for container in containers(spec):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, where
            assert own["capabilities"] == {"drop": ["ALL"]}, where
            assert own["readOnlyRootFilesystem"] is True, where
            assert "privileged" not in own, where
            assert not any("hostPort" in port for port in container.get("ports", ())), where
            probes = [value for field, value in container.items() if field.endswith("Probe")]
            assert not any("host" in probe.get("httpGet", {}) for probe in probes), where
        allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}
        assert {kind for v in spec["volumes"] for kind in v if kind != "name"} <= allowed, where


@every_case
def test_only_who_asks_the_api_server_has_a_token_for_it(name: str) -> None:
    for where, template in pod_templates(name):
        spec = template["spec"]
        tokens = {v["name"] for v in spec["volumes"] if "projected" in v}
        holders = {
            container["name"]
            for container in containers(spec)
            for mount in container["volumeMounts"]
            if mount["name"] in tokens
        }
        assert holders == ({"agent"} if where.endswith("-router") else set())


def containers(spec: Object) -> list[Object]:
    return [*spec["containers"], *spec.get("initContainers", ())]


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
    theirs = {case.load(name).server.media.volume.existing_claim}
    for where, template in pod_templates(name):
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for volume in volumes.values():
            key = named_object(volume)
            assert key is None or key.name in theirs or key in objects(name), (where, key)
        for variable in (v for c in containers(spec) for v in c.get("env", ())):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                secret = objects(name)[ObjectKey("Secret", reference["name"])]
                assert reference["key"] in secret["data"], where
        everywhere = [container["volumeMounts"] for container in containers(spec)]
        assert {mount["name"] for mounts in everywhere for mount in mounts} == set(volumes), where
        for mounts in everywhere:
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts), where


@every_case
def test_what_changes_is_mounted_under_an_immutable_name(name: str) -> None:
    for key, manifest in objects(name).items():
        # One that has no content of ours is mounted nowhere.
        if key.kind == "Secret" or "data" in manifest or "binaryData" in manifest:
            assert manifest["immutable"] is True
            assert re.search(r"-[0-9a-f]{10}$", key.name), key


@every_case
def test_every_path_in_a_process_files_is_mounted(name: str) -> None:
    built = case.manifests(name)
    for process, deployment in built.synapse.items():
        spec = deployment["spec"]["template"]["spec"]
        config = files(name, process)
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
    again = case.build_all(loaded)
    other = case.build_all(loaded, replace(case.DEFAULTS, image="other:1"))
    for process, deployment in case.manifests(name).synapse.items():
        assert revision(again.synapse[process]) == revision(deployment)
        assert (revision(other.synapse[process]) != revision(deployment)) == (
            loaded.server.image is None
        )
    revisions = [revision(d) for d in case.manifests(name).synapse.values()]
    assert len(set(revisions)) == len(revisions)


def revision(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["metadata"]["labels"][REVISION_LABEL])
