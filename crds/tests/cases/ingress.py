"""The way in: what goes with which controller."""

from crds.tests.cases.case import Case, spec

GATEWAY = {"controller": "gateway-api", "gateway": {"name": "outer"}}
TLS = {"secretName": "certificate"}
ISSUED = {**TLS, "certManager": {"issuerName": "letters", "issuerKind": "ClusterIssuer"}}

INGRESS = (
    Case(
        sentence="the Gateway API needs a Gateway",
        good=spec(ingress=GATEWAY),
        bad=spec(ingress={"controller": "gateway-api"}),
        says="ingress.gateway: needed with controller gateway-api",
    ),
    Case(
        sentence="a Gateway needs the Gateway API",
        good=spec(ingress={"controller": "traefik", "className": "traefik"}),
        bad=spec(ingress={"gateway": {"name": "outer"}}),
        says="ingress.gateway: of use only with controller gateway-api",
    ),
    Case(
        sentence="an HTTPRoute has no class",
        good=spec(ingress={"controller": "traefik-crd", "className": "outer"}),
        bad=spec(ingress={**GATEWAY, "className": "outer"}),
        says="ingress.className: cannot be set with controller gateway-api",
    ),
    Case(
        sentence="an HTTPRoute has no certificate",
        good=spec(ingress={"controller": "traefik-crd", "tls": TLS}),
        bad=spec(ingress={**GATEWAY, "tls": TLS}),
        says="ingress.tls: cannot be set with controller gateway-api",
    ),
    Case(
        sentence="cert-manager reads no IngressRoutes",
        good=spec(ingress={"controller": "haproxy-ingress", "tls": ISSUED, "wellKnown": {}}),
        bad=spec(ingress={"controller": "traefik-crd", "tls": ISSUED}),
        says="ingress.tls.certManager: cannot be set with controller traefik-crd",
    ),
    Case(
        sentence="the host of federation is a DNS name",
        good=spec(ingress={"federation": {"host": "federation.example.org", "tls": TLS}}),
        bad=spec(ingress={"federation": {"host": "https://federation.example.org"}}),
        says="ingress.federation.host: must be a DNS name",
    ),
)
