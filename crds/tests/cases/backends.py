"""Databases, Redis, volumes, and what lies around the homeserver."""

from crds.tests.cases.case import Case, spec
from crds.tests.cases.ingress import INGRESS

EXTERNAL_POSTGRES = {"host": "db.example.org", "credentials": {"secretName": "db"}}

BACKENDS = (
    Case(
        sentence="a PostgreSQL is managed or external",
        good=spec(postgres={"managed": {}, "connections": {"max": 20}}),
        bad=spec(postgres={**EXTERNAL_POSTGRES, "managed": {}}),
        says="postgres.managed: cannot be set together with postgres.host",
    ),
    Case(
        sentence="an external PostgreSQL needs credentials",
        good=spec(postgres={**EXTERNAL_POSTGRES, "connections": {"max": 20}}),
        bad=spec(postgres={"host": "db"}),
        says="postgres.credentials: needed with postgres.host",
    ),
    Case(
        sentence="credentials need an external PostgreSQL",
        good=spec(postgres={}),
        bad=spec(postgres={"credentials": {"secretName": "db"}}),
        says="postgres.credentials: of use only with postgres.host",
    ),
    *(
        Case(
            sentence=f"postgres.{field} needs a host, or the data would go elsewhere silently",
            good=spec(postgres={**EXTERNAL_POSTGRES, field: value}),
            bad=spec(postgres={field: value}),
            says="postgres.host: needed with port, database, sslMode or caSecret",
        )
        for field, value in {
            "port": 5433,
            "database": "matrix",
            "sslMode": "verify-full",
            "caSecret": {"secretName": "ca"},
        }.items()
    ),
    Case(
        sentence="a PostgreSQL's host has no port",
        good=spec(postgres={**EXTERNAL_POSTGRES, "host": "fd00::1"}),
        bad=spec(postgres={**EXTERNAL_POSTGRES, "host": "db:5432"}),
        says="postgres.host: must be a DNS name or an IP address",
    ),
    Case(
        sentence="a connection pool's bounds are in order",
        good=spec(postgres={"connections": {"min": 3, "max": 3}}),
        bad=spec(postgres={"connections": {"max": 3}}),
        says="postgres.connections.min: must not exceed max",
    ),
    Case(
        sentence="a volume's size has a unit",
        good=spec(postgres={"managed": {"storage": {"size": "2Gi"}}}),
        bad=spec(postgres={"managed": {"storage": {"size": "20"}}}),
        says="spec.postgres.managed.storage.size",
    ),
    Case(
        sentence="a Redis is managed or external",
        good=spec(redis={"managed": {"image": "redis:7"}}),
        bad=spec(redis={"host": "redis", "managed": {}}),
        says="redis.managed: cannot be set together with redis.host",
    ),
    *(
        Case(
            sentence=f"redis.{field} needs a host",
            good=spec(redis={"host": "redis", field: value}),
            bad=spec(redis={field: value}),
            says="redis.host: needed with port, database, credentials or tls",
        )
        for field, value in {
            "port": 6380,
            "database": 1,
            "credentials": {"secretName": "redis"},
            "tls": {},
        }.items()
    ),
    Case(
        sentence="a Redis' host has no scheme",
        good=spec(redis={"host": "198.51.100.1"}),
        bad=spec(redis={"host": "redis://redis"}),
        says="redis.host: must be a DNS name or an IP address",
    ),
    Case(
        sentence="a certificate for Redis is of a Secret",
        good=spec(redis={"host": "redis", "tls": {"clientCertificate": {"secretName": "c"}}}),
        bad=spec(redis={"host": "redis", "tls": {"clientCertificate": {"key": "c"}}}),
        says="spec.redis.tls.clientCertificate",
    ),
    Case(
        sentence="a bucket stores something",
        good=spec(mediaStore={"s3": {"bucket": "media", "storeRemote": False}}),
        bad=spec(mediaStore={"s3": {"bucket": "media", "storeRemote": False, "storeLocal": False}}),
        says="mediaStore.s3: would store nothing",
    ),
    Case(
        sentence="the endpoint of a bucket's service is its URL",
        good=spec(
            mediaStore={
                "s3": {
                    "bucket": "media",
                    "endpoint": "https://s3.example.org:9000",
                    "credentials": {"secretName": "s3"},
                }
            }
        ),
        bad=spec(mediaStore={"s3": {"bucket": "media", "endpoint": "https://s3/media"}}),
        says="mediaStore.s3.endpoint: must be the URL of the service alone",
    ),
    Case(
        sentence="an existing claim has its own storage class",
        good=spec(mediaStore={"volume": {"existingClaim": "media"}}),
        bad=spec(mediaStore={"volume": {"existingClaim": "media", "storageClassName": "fast"}}),
        says="mediaStore.volume.storageClassName: belongs to the claim",
    ),
)

REST = (
    Case(
        sentence="peers of a policy are named, or left out for everybody",
        good=spec(
            networkPolicy={
                "clientsFrom": [{"namespaceSelector": {}}],
                "metricsFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
                "egress": [{"ports": [{"port": 587, "protocol": "TCP"}]}],
            }
        ),
        bad=spec(networkPolicy={"clientsFrom": []}),
        says="spec.networkPolicy.clientsFrom",
    ),
    Case(
        sentence="no empty rule opens everything",
        good=spec(networkPolicy={"enabled": False}),
        bad=spec(networkPolicy={"egress": [{}]}),
        says="spec.networkPolicy.egress[0]",
    ),
    Case(
        sentence="an Ingress' host is a DNS name",
        good=spec(ingress={"host": "matrix.example.org"}),
        bad=spec(ingress={"host": "matrix.example.org:443"}),
        says="ingress.host: must be a DNS name",
    ),
    *INGRESS,
    Case(
        sentence="a body size is written as the controller reads it",
        good=spec(ingress={"maxBodySize": "1g"}),
        bad=spec(ingress={"maxBodySize": "50Mi"}),
        says="ingress.maxBodySize: must be a number of bytes",
    ),
    Case(
        sentence="a file is of a Secret or of a ConfigMap",
        good=spec(files=[{"name": "bridge", "secretName": "bridge"}]),
        bad=spec(files=[{"name": "bridge", "secretName": "a", "configMapName": "b"}]),
        says="files[]: a folder comes from one Secret or one ConfigMap",
    ),
    Case(
        sentence="a file's name is a DNS label",
        good=spec(files=[{"name": "a-b", "configMapName": "templates"}]),
        bad=spec(files=[{"name": "../etc", "configMapName": "templates"}]),
        says="files[].name: must be lower case letters",
    ),
    Case(
        sentence="a Secret of one's own is named with its key",
        good=spec(secrets={"signingKey": {"secretName": "keys", "key": "signing.key"}}),
        bad=spec(secrets={"signingKey": {"secretName": "keys"}}),
        says="spec.secrets.signingKey.key: Required value",
    ),
    Case(
        sentence="a homeserver has a server name",
        good=spec(paused=True),
        bad={},
        says="spec.serverName: Required value",
    ),
)
