"""What is refused, by which words, and what is not. Every rule once broken and once kept."""

from typing import Any

import pytest
import yaml
from tests.core import case

from homeserver_operator.api.spec import parse
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.validate import Rejected, ValidHomeServer, validate


def body(**spec: Any) -> dict[str, Any]:
    return case.as_stored(
        {"metadata": {"name": "rosebud"}, "spec": {"serverName": "rose.example", **spec}}
    )


def outcome(
    resource: Object, references: case.References | None = None
) -> ValidHomeServer | Rejected:
    server = parse(resource)
    return validate(server, World(references={**case.generated(server), **(references or {})}))


def group(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


BY_REQUESTS = {"maxReplicas": 3, "metrics": [{"type": "Pods"}]}
IRC = {"name": "irc", "secretName": "irc"}
MAS = {"endpoint": "http://mas/", "secret": {"secretName": "mas", "key": "shared"}}


def window(**fields: Any) -> dict[str, Any]:
    """A spec with a good maintenance window and one that is as said."""
    good = {"start": "02:00", "duration": "2h"}
    return {"restartPolicy": {"maintenanceWindows": [good, good | fields]}}


INVALID: dict[str, tuple[dict[str, Any], list[str]]] = {
    "two groups of one name": (
        {"workers": [group("a", serves=["sync"]), group("a", serves=["client"])]},
        ["spec.workers: 2 groups are called a"]),
    "a group called like another part": (
        {"workers": [group("redis", serves=["sync"])]}, ["spec.workers[redis].name", "choose"]),
    "a group called like a member of another": (
        {"workers": [group("a-0", serves=["sync"])]}, ["spec.workers[a-0].name", "choose"]),
    "a group without a task": (
        {"workers": [group("a")]}, ["spec.workers[a] claims nothing", "set serves"]),
    "two groups that write a stream of one writer": (
        {"workers": [group("a", writes=["typing"]), group("b", writes=["typing"])]},
        ["a, b all have typing in writes"]),
    "several writers of a stream of one writer": (
        {"workers": [group("a", replicas=2, writes=["presence"])]},
        ["spec.workers[a].replicas is 2", "presence", "set 1"]),
    "two groups with a duty of one process": (
        {"workers": [group("a", runs=["userDirectory"]), group("b", runs=["userDirectory"])]},
        ["a, b all have userDirectory in runs"]),
    "several processes with a duty of one": (
        {"workers": [group("a", replicas=3, runs=["appservices"])]},
        ["spec.workers[a].replicas is 3"]),
    "jobs of media without media": (
        {"workers": [group("a", runs=["mediaBackgroundJobs"])]},
        ["spec.workers[a].runs", "mediaBackgroundJobs needs the media repository", "add media"]),
    "media without its jobs": (
        {"workers": [group("a", serves=["media"])]}, ["exactly one", "mediaBackgroundJobs"]),
    "jobs of media twice": (
        {"workers": [group("a", serves=["media"], runs=["mediaBackgroundJobs"]),
                     group("b", serves=["media"], runs=["mediaBackgroundJobs"])],
         "mediaStore": {"volume": {"accessMode": "ReadWriteMany"}}},
        ["exactly one", "2 have"]),
    "jobs of media where nobody is": (
        {"workers": [group("a", serves=["media"]),
                     group("b", replicas=0, serves=["media"], runs=["mediaBackgroundJobs"])]},
        ["exactly one", "at least one replica", "0 have"]),
    "decisions on media written without media": (
        {"workers": [group("a", writes=["quarantinedMediaChanges"])]},
        ["spec.workers[a].writes", "needs the media repository"]),
    "two media repositories on a volume for one": (
        {"workers": [group("a", replicas=2, serves=["media"], runs=["mediaBackgroundJobs"])]},
        ["spec.mediaStore.volume.accessMode is ReadWriteOnce", "set ReadWriteMany"]),
    "a number that is fixed and an autoscaler's": (
        {"workers": [group("a", serves=["sync"], replicas=2, autoscale=BY_REQUESTS)]},
        ["spec.workers[a]: replicas and autoscale both decide", "remove one"]),
    "an autoscaler of writers": (
        {"workers": [group("a", writes=["events"], autoscale=BY_REQUESTS)]},
        ["spec.workers[a].autoscale is only for groups that only serve", "set replicas"]),
    "an autoscaler of a duty": (
        {"workers": [group("a", runs=["pusher"], autoscale=BY_REQUESTS)]},
        ["spec.workers[a].autoscale is only for groups that only serve", "set replicas"]),
    "an autoscaler's bounds out of order": (
        {"workers": [group("a", serves=["sync"], autoscale={**BY_REQUESTS, "minReplicas": 4})]},
        ["spec.workers[a].autoscale.minReplicas is 4, more than maxReplicas, 3", "set both"]),
    "an autoscaler with nothing to go by": (
        {"workers": [group("a", serves=["sync"], autoscale={"maxReplicas": 3})]},
        ["spec.workers[a].autoscale needs something to go by", "set cpuUtilization"]),
    "a target of CPU without a request": (
        {"workers": [group("a", serves=["sync"], resources={"requests": {"memory": "1Gi"}},
                           autoscale={"maxReplicas": 3, "cpuUtilization": 70})]},
        ["spec.workers[a].resources.requests.cpu is needed", "set it"]),
    "an autoscaled media group on a volume for one": (
        {"workers": [group("a", serves=["media"], runs=["mediaBackgroundJobs"]),
                     group("b", serves=["media"], autoscale={**BY_REQUESTS, "maxReplicas": 2})]},
        ["spec.mediaStore.volume.accessMode is ReadWriteOnce, but 3 media"]),
    "a database without the way in": (
        {"postgres": {"host": "pg"}}, ["spec.postgres.credentials", "set secretName"]),
    "a key of ours in the overlay": (
        {"config": {"instance_map": {}}}, ["spec.config.instance_map", "workers[].writes"]),
    "a key of ours in a group's overlay": (
        {"workers": [group("a", serves=["sync"], config={"listeners": []})]},
        ["spec.workers[a].config.listeners", "not configurable"]),
    "a key of ours in main's overlay": (
        {"main": {"config": {"redis": {}}}}, ["spec.main.config.redis", "set spec.redis"]),
    "an option that is gone": (
        {"config": {"worker_replication_host": "x"}}, ["worker_replication_host", "gone"]),
    "a historical way to share duties": (
        {"config": {"start_pushers": False, "send_federation": False, "notify_appservices": False}},
        ["set workers[].runs: [pusher]", "set workers[].runs: [federationSender]",
         "set workers[].runs: [appservices]"]),
    "a historical application": (
        {"workers": [group("a", serves=["sync"], config={"worker_app": "synapse.app.pusher"})]},
        ["spec.workers[a].config.worker_app", "synapse.app.generic_worker"]),
    "who goes out, by Synapse's own name": (
        {"config": {"outbound_federation_restricted_to": ["a"]}},
        ["set workers[].runs: [outboundFederation]"]),
    "another store of media beside the bucket": (
        {"mediaStore": {"s3": {"bucket": "b"}},
         "main": {"config": {"media_storage_providers": []}}},
        ["spec.main.config.media_storage_providers", "spec.mediaStore.s3 is set"]),
    "the option that an application service's registration replaces": (
        {"config": {"app_service_config_files": ["/files/x.yaml"]}},
        ["spec.config.app_service_config_files", "set spec.appservices"]),
    "the section that the authentication service's field replaces": (
        {"config": {"matrix_authentication_service": {"enabled": True}}},
        ["spec.config.matrix_authentication_service", "set spec.matrixAuthenticationService"]),
    "what came before the authentication service": (
        {"config": {"experimental_features": {"msc3861": {"enabled": True}}}},
        ["spec.config.experimental_features.msc3861", "set spec.matrixAuthenticationService"]),
    "two groups that serve single sign-on": (
        {"workers": [group("a", serves=["sso"]), group("b", serves=["sso"])]},
        ["a, b all have sso in serves"]),
    "several processes that serve single sign-on": (
        {"workers": [group("a", replicas=2, serves=["sso"])]},
        ["spec.workers[a].replicas is 2", "sso", "set 1"]),
    "single sign-on beside the authentication service": (
        {"workers": [group("a", serves=["sso"])], "matrixAuthenticationService": MAS},
        ["spec.workers[a].serves", "remove sso"]),
    "a group for an application service that is not there": (
        {"workers": [group("a", serves=["client"], appservices=["irc"])]},
        ["spec.workers[a].appservices names irc", "add it to spec.appservices"]),
    "a group for an application service that serves nothing": (
        {"workers": [group("a", runs=["pusher"], appservices=["irc"])], "appservices": [IRC]},
        ["spec.workers[a].appservices", "set serves"]),
    "a group for an application service with what is everybody's": (
        {"workers": [group("a", serves=["media", "client"], appservices=["irc"],
                           runs=["mediaBackgroundJobs"])], "appservices": [IRC]},
        ["spec.workers[a].appservices cannot narrow media", "another group"]),
    "a group for an application service with the name of a replication Service": (
        {"workers": [group("a-0-e1", serves=["client"], appservices=["irc"])],
         "appservices": [IRC]},
        ["spec.workers[a-0-e1].name", "choose another ending"]),
    "several problems at once": (
        {"config": {"redis": {}, "database": {}}}, ["spec.config.redis", "spec.config.database"]),
    "an annotation of ours": (
        {"ingress": {"annotations": {"nginx.ingress.kubernetes.io/use-regex": "false"}}},
        ["spec.ingress.annotations[nginx.ingress.kubernetes.io/use-regex]", "remove it"]),
    "an annotation of ours for Traefik": (
        {"ingress": {"controller": "traefik", "annotations": {
            "traefik.ingress.kubernetes.io/router.priority": "7"}}},
        ["spec.ingress.annotations[traefik.ingress.kubernetes.io/router.priority]", "remove it"]),
    "an annotation of ours for HAProxy": (
        {"ingress": {"controller": "haproxy-ingress", "annotations": {
            "haproxy-ingress.github.io/path-type": "begin"}}},
        ["spec.ingress.annotations[haproxy-ingress.github.io/path-type]", "remove it"]),
    "an issuer twice": (
        {"ingress": {"tls": {"secretName": "a", "certManager": {"issuerName": "b"}},
                     "annotations": {"cert-manager.io/cluster-issuer": "c"}}},
        ["spec.ingress.annotations[cert-manager.io/cluster-issuer]", "certManager"]),
    "the Gateway API without a Gateway": (
        {"ingress": {"controller": "gateway-api"}}, ["spec.ingress.gateway", "set it"]),
    "certificates where a Gateway has them": (
        {"ingress": {"controller": "gateway-api", "gateway": {"name": "g"},
                     "wellKnown": {"tls": {"secretName": "a"}},
                     "federation": {"host": "f.example", "tls": {"secretName": "b"}}}},
        ["spec.ingress.wellKnown.tls", "spec.ingress.federation.tls", "listener"]),
    "well-known of an IP address": (
        {"serverName": "[fd00::1]:8448", "ingress": {"host": "a.example", "wellKnown": {}}},
        ["spec.ingress.wellKnown", "IP address", "remove it"]),
    "the same host for servers as for clients": (
        {"ingress": {"federation": {"host": "rose.example"}}},
        ["spec.ingress.federation.host", "choose another"]),
    "one Secret for the certificates of two hosts": (
        {"ingress": {"tls": {"secretName": "a", "certManager": {"issuerName": "b"}},
                     "federation": {"host": "f.example", "tls": {"secretName": "a"}}}},
        ["spec.ingress.federation.tls.secretName: a", "a Secret of its own"]),
    "an approval that nobody knows how to give": (
        {"restartPolicy": {"approval": "Sometimes"}},
        ["spec.restartPolicy.approval is 'Sometimes'", "set Automatic or Manual"]),
    "nobody who may warm up": (
        {"restartPolicy": {"maxWarming": 0}},
        ["spec.restartPolicy.maxWarming is 0", "set 1 or more"]),
    "a time zone that is not there": (
        window(timeZone="Europe/Atlantis"),
        ["spec.restartPolicy.maintenanceWindows[1].timeZone: 'Europe/Atlantis'", "write a name"]),
    "a continent as time zone": (
        window(timeZone="Europe"), ["maintenanceWindows[1].timeZone: 'Europe'"]),
    "a window shorter than a switch may take": (
        window(duration="14m"),
        ["spec.restartPolicy.maintenanceWindows[1].duration is '14m'", "write hours and minutes"]),
    "a window longer than a day": (
        window(duration="24h1m"), ["maintenanceWindows[1].duration is '24h1m'"]),
    "a duration without a unit": (
        window(duration="90"), ["maintenanceWindows[1].duration is '90'"]),
    "a time that no clock shows": (
        window(start="24:00"),
        ["spec.restartPolicy.maintenanceWindows[1].start is '24:00'", "write a time of day"]),
    "a day in another language": (
        window(days=["Mon", "Di"]),
        ["spec.restartPolicy.maintenanceWindows[1].days: 'Di' is no day", "write Mon"]),
}  # fmt: skip


@pytest.mark.parametrize("title", INVALID)
def test_an_invalid_spec_is_refused_by_field_and_remedy(title: str) -> None:
    spec, words = INVALID[title]
    found = outcome(body(**spec))
    assert isinstance(found, Rejected)
    assert found.reason == "InvalidSpec"
    for word in words:
        assert word in found.message


SECRETS_IN_OVERLAYS = [
    "macaroon_secret_key: hush",
    "form_secret: hush",
    "registration_shared_secret: hush",
    "worker_replication_secret: hush",
    "signing_key: ed25519 a hush",
    "turn_shared_secret: hush",
    "recaptcha_private_key: hush",
    "recaptcha_public_key: hush",
    "email: {smtp_pass: hush}",
    "jwt_config: {secret: hush}",
    "oidc_providers: [{client_id: i}, {client_secret: hush}]",
    "password_config: {pepper: hush}",
    "manhole_settings: {password: hush}",
    "oidc_providers: [{client_secret_jwt_key: {key: hush}}]",
    "media_storage_providers: [{module: m, config: {secret_access_key: hush}}]",
    "modules: [{module: ldap.Provider, config: {uri: u, bind_password: hush}}]",
    "modules: [{module: m}, {module: n, config: {apiKey: hush}}]",
    "password_providers: [{module: m, config: {shared_secret: hush}}]",
]


@pytest.mark.parametrize("text", SECRETS_IN_OVERLAYS)
@pytest.mark.parametrize("where", ["spec.config", "spec.main.config", "spec.workers[a].config"])
def test_a_secret_in_an_overlay_is_refused_without_being_quoted(text: str, where: str) -> None:
    overlay = yaml.safe_load(text)
    found = outcome(
        {
            "spec.config": body(config=overlay),
            "spec.main.config": body(main={"config": overlay}),
            "spec.workers[a].config": body(workers=[group("a", serves=["sync"], config=overlay)]),
        }[where]
    )
    assert isinstance(found, Rejected)
    assert f"{where}.{next(iter(overlay))}" in found.message
    assert "Secret" in found.message
    assert "hush" not in found.message


VALID: dict[str, dict[str, Any]] = {
    "nothing but a name": {},
    "one writer of each stream": {
        "workers": [group("a", writes=["typing", "toDevice", "accountData", "presence"])]},
    "several writers of a stream that shards": {
        "workers": [group("a", replicas=3, writes=["events", "receipts"]),
                    group("b", writes=["events"])]},
    "several processes of a duty that shards": {
        "workers": [group("a", replicas=3, runs=["federationSender", "pusher"])]},
    "an autoscaler by CPU, of which a limit stands for the request": {
        "workers": [group("a", serves=["sync"], resources={"limits": {"cpu": 1}},
                          autoscale={"maxReplicas": 3, "cpuUtilization": 70})]},
    "an autoscaler that may not scale": {
        "workers": [group("a", serves=["sync"], autoscale={**BY_REQUESTS, "minReplicas": 3})]},
    "media with its jobs": {
        "workers": [group("a", serves=["media"], runs=["mediaBackgroundJobs"])]},
    "several media repositories on a volume for many": {
        "workers": [group("a", replicas=2, serves=["media"], runs=["mediaBackgroundJobs"]),
                    group("b", serves=["media"])],
        "mediaStore": {"volume": {"accessMode": "ReadWriteMany"}}},
    "several media repositories on a claim of the user's": {
        "workers": [group("a", replicas=2, serves=["media"], runs=["mediaBackgroundJobs"])],
        "mediaStore": {"volume": {"existingClaim": "c"}}},
    "single sign-on in one process": {"workers": [group("a", replicas=1, serves=["sso"])]},
    "a media group that sleeps": {"workers": [group("a", replicas=0, serves=["media"])]},
    "a media group that sleeps with its jobs": {
        "workers": [group("a", replicas=0, serves=["media"], runs=["mediaBackgroundJobs"])]},
    "options of modules that are no secrets": {"config": {"modules": [
        {"module": "m", "config": {"token_lifetime": "5m", "bind_password_file": "/run/word",
                                   "require_token": True, "secret": ""}}]}},
    "an overlay of Synapse's own options": {"config": {"enable_search": False,
                                                        "email": {"smtp_host": "mail"}}},
    "a store of media of the user's own": {
        "config": {"media_storage_providers": [{"module": "m", "config": {"bucket": "b"}}]}},
    "an empty secret is none": {"config": {"turn_shared_secret": ""}},
    "an annotation of a controller that is not asked": {"ingress": {
        "controller": "traefik", "annotations": {"nginx.ingress.kubernetes.io/use-regex": "x"}}},
    "one Secret of the user's for two hosts": {"ingress": {
        "tls": {"secretName": "wild"}, "wellKnown": {"tls": {"secretName": "wild"}},
        "host": "chat.rose.example", "federation": {"host": "f.rose.example"}}},
    "well-known switched off at an IP address": {
        "serverName": "198.51.100.1",
        "ingress": {"host": "a.example", "wellKnown": {"enabled": False}}},
    "a policy of restarts that says nothing": {"restartPolicy": {}},
    "approval and the shortest window": {
        "restartPolicy": {"approval": "Manual", **window(duration="15m")["restartPolicy"]}},
    "the longest window, in summer time": window(duration="23h60m", timeZone="Europe/Berlin"),
    "an annotation of another's": {"ingress": {"annotations": {"cert.invalid/issuer": "x"}}},
}  # fmt: skip


@pytest.mark.parametrize("title", VALID)
def test_what_is_not_refused(title: str) -> None:
    assert isinstance(outcome(body(**VALID[title])), ValidHomeServer)


POSTGRES = {"host": "pg", "credentials": {"secretName": "login"}}

MISSING: dict[str, tuple[dict[str, Any], case.References, list[str]]] = {
    "a Secret that is not there": (
        {"postgres": POSTGRES}, {},
        ["spec.postgres.credentials: Secret login does not exist", "create it"]),
    "a key that is not there": (
        {"postgres": POSTGRES}, {ObjectKey("Secret", "login"): {"user": b"u", "password": b"p"}},
        ["Secret login has no key username", "its keys: password, user"]),
    "a key without content": (
        {"postgres": POSTGRES}, {ObjectKey("Secret", "login"): {"username": b"u", "password": b""}},
        ["key password of Secret login is empty"]),
    "a ConfigMap that is not there": (
        {"files": [{"name": "f", "configMapName": "pages"}]}, {},
        ["spec.files[f]: ConfigMap pages does not exist"]),
    "an own secret that is not there": (
        {"secrets": {"formSecret": {"secretName": "own", "key": "k"}}}, {},
        ["spec.secrets.formSecret: Secret own does not exist"]),
    "a key of the bucket's as echo writes it": (
        {"mediaStore": {"s3": {"bucket": "b", "credentials": {"secretName": "s3"}}}},
        {ObjectKey("Secret", "s3"): {"AWS_ACCESS_KEY_ID": b"i", "AWS_SECRET_ACCESS_KEY": b"k\n"}},
        ["spec.mediaStore.s3.credentials: key AWS_SECRET_ACCESS_KEY of Secret s3", "white space"]),
    "a client's certificate without its key": (
        {"redis": {"host": "r", "tls": {"clientCertificate": {"secretName": "c"}}}},
        {ObjectKey("Secret", "c"): {"tls.crt": b"c"}},
        ["spec.redis.tls.clientCertificate: Secret c has no key tls.key"]),
    "a registration that is not there": (
        {"appservices": [IRC]}, {}, ["spec.appservices[irc]: Secret irc does not exist"]),
    "a secret of the authentication service without its key": (
        {"matrixAuthenticationService": MAS}, {ObjectKey("Secret", "mas"): {"other": b"x"}},
        ["spec.matrixAuthenticationService.secret: Secret mas has no key shared"]),
    "every missing one in one message": (
        {"postgres": POSTGRES, "configFrom": [{"secretName": "mail"}]}, {},
        ["Secret login", "spec.configFrom[0]: Secret mail"]),
}  # fmt: skip


@pytest.mark.parametrize("title", MISSING)
def test_what_is_missing_is_named_and_looked_for_again(title: str) -> None:
    spec, references, words = MISSING[title]
    found = outcome(body(**spec), references)
    assert isinstance(found, Rejected)
    assert found.reason == "SecretMissing"
    assert found.retry_after, "users' Secrets are not watched"
    for word in words:
        assert word in found.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"a: [word", ["is not YAML at line"], id="no YAML"),
        pytest.param(b"- word", ["must hold a YAML mapping"], id="a list"),
        pytest.param(b"redis: {password: word}", ["sets redis", "spec.redis"], id="a key of ours"),
        pytest.param(b"form_secret: word", ["sets form_secret", "spec.secrets"], id="our secret"),
        pytest.param(
            b"experimental_features: {msc3861: {admin_token: word}}",
            ["sets experimental_features.msc3861", "spec.matrixAuthenticationService"],
            id="what came before the authentication service",
        ),
        pytest.param(b"a: 2024-02-30 # word", ["is not YAML", "like a date"], id="no date"),
        pytest.param(b"a: !!int word", ["is not YAML"], id="no number"),
        pytest.param(b"a: &x [*x] # word", ["a part of itself"], id="a list that holds itself"),
        pytest.param(b"metrics_port: 9000 # word", ["metrics are always on"], id="a second port"),
    ],
)
def test_a_secret_of_config_from_is_refused_without_being_quoted(
    content: bytes, words: list[str]
) -> None:
    references: case.References = {ObjectKey("Secret", "mail"): {"homeserver.yaml": content}}
    found = outcome(body(configFrom=[{"secretName": "mail"}]), references)
    assert isinstance(found, Rejected)
    assert found.message.startswith("spec.configFrom[0]: key homeserver.yaml of Secret mail")
    assert "word" not in found.message
    for text in words:
        assert text in found.message


def test_a_part_that_stands_at_two_places_is_no_part_of_itself() -> None:
    content = b"email: &x {smtp_host: mail}\nother: [*x, *x, [*x]]"
    references: case.References = {ObjectKey("Secret", "mail"): {"homeserver.yaml": content}}
    found = outcome(body(configFrom=[{"secretName": "mail"}]), references)
    assert isinstance(found, ValidHomeServer)
    assert found.secret_options == {"email", "other"}


def registered(**registrations: bytes) -> ValidHomeServer | Rejected:
    """What comes of these registrations, by name of the application service."""
    references: case.References = {
        ObjectKey("Secret", name): {"registration.yaml": text}
        for name, text in registrations.items()
    }
    services = [{"name": name, "secretName": name} for name in registrations]
    return outcome(body(appservices=services), references)


def registration(**changed: str) -> bytes:
    """A valid registration but for what is changed; an empty text leaves the key out."""
    texts = {
        "id": "irc", "url": "null", "as_token": "word-as", "hs_token": "word-hs",
        "sender_localpart": "irc", "namespaces": "{}",
    } | changed  # fmt: skip
    return "".join(f"{key}: {text}\n" for key, text in texts.items() if text).encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"as_token: [word", ["is not YAML at line"], id="no YAML"),
        pytest.param(b"- word", ["must hold a YAML mapping"], id="a list"),
        *(
            pytest.param(registration(**{key: ""}), [f"has no {key}", "copy"], id=f"no {key}")
            for key in ("id", "as_token", "hs_token", "sender_localpart")
        ),
        pytest.param(registration(id="7"), ["has no id, or it is no text"], id="a number"),
        pytest.param(registration(url=""), ["has no url", "or null"], id="no address"),
        pytest.param(registration(url="[word]"), ["has no url"], id="a list as address"),
        pytest.param(registration(namespaces=""), ["has no namespaces"], id="no namespaces"),
        pytest.param(registration(namespaces="{users: word}"), ["has no namespaces"],
                     id="namespaces that are no list"),
        pytest.param(registration(namespaces="{rooms: [{regex: word}]}"), ["exclusive"],
                     id="a namespace that does not say whether it is exclusive"),
        pytest.param(registration(namespaces="{users: [{regex: '(word', exclusive: true}]}"),
                     ["has no namespaces"], id="a namespace that is no regular expression"),
        pytest.param(registration(protocols="irc"), ["protocols", "list of texts"],
                     id="protocols that are no list"),
        pytest.param(registration(protocols="[7]"), ["protocols", "list of texts"],
                     id="a protocol that is a number"),
        pytest.param(registration(sender_localpart="'@irc:rosebud.example'"),
                     ["sender_localpart", "name alone"], id="a sender with its server"),
        pytest.param(registration(id="irc|1"), ["id holds '|'"], id="an id with a bar"),
        *(
            pytest.param(registration(**{key: "'true'"}), [f"{key} must be true or false"],
                         id=f"{key} as text")
            for key in ("org.matrix.msc3202", "io.element.msc4190")
        ),
        pytest.param(registration(rate_limited="2024-02-30"), ["is not YAML", "like a date"],
                     id="a date that no year has"),
        pytest.param(registration(rate_limited="!!int word"), ["is not YAML"],
                     id="a number that is none"),
        pytest.param(registration(rate_limited="!!int ''"), ["is not YAML"], id="an empty number"),
        pytest.param(registration(rate_limited="&a [*a]"), ["a part of itself"],
                     id="a list that holds itself"),
        pytest.param(b"[" * 5000, ["is not YAML"], id="deeper than can be read"),
    ],
)  # fmt: skip
def test_a_registration_is_refused_without_being_quoted(text: bytes, words: list[str]) -> None:
    found = registered(irc=text)
    assert isinstance(found, Rejected)
    assert found.retry_after, "users' Secrets are not watched"
    assert found.message.startswith("spec.appservices[irc]: key registration.yaml of Secret irc")
    assert "word" not in found.message
    for part in words:
        assert part in found.message


@pytest.mark.parametrize("field", ["id", "as_token"])
def test_two_application_services_that_synapse_cannot_tell_apart_are_refused(field: str) -> None:
    other = {"id": "mail", "as_token": "word-other"}
    del other[field]
    found = registered(irc=registration(), mail=registration(**other))
    assert isinstance(found, Rejected)
    assert f"irc, mail have the same {field}" in found.message
    assert "word" not in found.message


def test_registrations_that_differ_are_taken() -> None:
    users = "{users: [{regex: '@irc_.*', exclusive: true}], aliases: [], rooms: []}"
    other = registration(id="mail", as_token="word-other", url="http://mail")
    found = registered(irc=registration(namespaces=users), mail=other)
    assert isinstance(found, ValidHomeServer)
    assert found.registrations["irc"].user_patterns == ("@irc_.*",)
    assert found.registrations["mail"].user_patterns == ()


def test_a_generated_secret_that_is_gone_is_not_forgotten() -> None:
    found = outcome(body(), {ObjectKey("Secret", "rosebud-signing-key"): None})
    assert isinstance(found, Rejected)
    assert found.reason == "GeneratedSecretLost"
    assert "Secret rosebud-signing-key is gone" in found.message
    assert "from a backup" in found.message
    assert "rosebud-form" not in found.message
