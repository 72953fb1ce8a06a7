"""What the dialects of Ingress annotations share: one object per route class.

Annotations hold for a whole object, so classes that need different ones need different objects.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.routes.exposure import Site
from homeserver_operator.routes.reduction import Capabilities, reduce_targets

Annotations = Mapping[str, str]


@dataclass(frozen=True)
class IngressDialect:
    """How one controller writes the table.

    `row` makes a path of a row's pattern, `prefix` one that matches whatever is below. `ours` gives
    the annotations of a target whose paths are such expressions, for a largest body; `plain` those
    of exact paths, `tls` what is added where the site has a certificate. `on_service` stands on
    Services of one process. `limits` gives the annotations of Kubernetes' own prefixes, for the
    longest answer in seconds and the largest body.
    """

    can: Capabilities
    row: Callable[[str], str]
    prefix: Callable[[str], str]
    ours: Callable[[Target, str], Annotations]
    limits: Callable[[int, str], Annotations]
    plain: Annotations = field(default_factory=dict)
    tls: Annotations = field(default_factory=dict)
    on_service: Annotations = field(default_factory=dict)


@dataclass(frozen=True)
class IngressRules:
    """One Ingress object: paths that share annotations, all to one Service.

    `expressions` are for the controller to interpret, `prefixes` and `exact` for Kubernetes.
    """

    target: Target
    annotations: Annotations
    expressions: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()


def compile_prefixes(
    dialect: IngressDialect, target: Target, site: Site, *, max_body_size: str
) -> IngressRules:
    """All that the site serves to one target, in words that every controller knows."""
    limits = dialect.limits(target.route_class.read_timeout, max_body_size)
    tls = dialect.tls if site.tls_secret_name else {}
    return IngressRules(target, {**limits, **tls}, prefixes=site.prefixes, exact=site.exact)


def compile_rules(
    dialect: IngressDialect, targets: tuple[Target, ...], site: Site, *, max_body_size: str
) -> Iterator[IngressRules]:
    """One set of rules per class that workers answer, and one for main, which has the rest."""
    tls = dialect.tls if site.tls_secret_name else {}
    for target in site.of(reduce_targets(targets, dialect.can)):
        if not target.is_main:
            yield IngressRules(
                target,
                {**dialect.ours(target, max_body_size), **tls},
                expressions=tuple(dialect.row(route.pattern) for route in target.routes),
            )
    if site.prefixes:
        yield IngressRules(
            MAIN_TARGET,
            {**dialect.ours(MAIN_TARGET, max_body_size), **tls},
            expressions=tuple(dialect.prefix(prefix) for prefix in site.prefixes),
        )
    if site.exact:
        yield IngressRules(MAIN_TARGET, {**dialect.plain, **tls}, exact=site.exact)
