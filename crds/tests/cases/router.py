"""The routing tier: what can be asked of it."""

from typing import Any

from crds.tests.cases.case import Case, Spec, spec


def router(**fields: Any) -> Spec:
    """A spec with a router."""
    return spec(router=fields)


ROUTER = (
    Case(
        sentence="a router has at least one pod",
        good=router(),
        bad=router(replicas=0),
        says="spec.router.replicas",
    ),
    Case(
        sentence="a request is held for less than proxies in front wait",
        good=router(holdSeconds=55, trustedProxies=0, accessLog=False),
        bad=router(holdSeconds=60),
        says="spec.router.holdSeconds",
    ),
    Case(
        sentence="a limit has a number of requests",
        good=router(limits={"login": {"requests": 10}, "initialSync": {"requests": 1}}),
        bad=router(limits={"registration": {"periodSeconds": 60}}),
        says="spec.router.limits.registration.requests: Required value",
    ),
    Case(
        sentence="the pods of a router are placed as all others are",
        good=router(
            image="registry.example/router:1",
            nodeSelector={"pool": "edge"},
            tolerations=[{"key": "edge", "operator": "Exists"}],
            topologySpreadConstraints=[],
            resources={"limits": {"memory": "128Mi"}},
        ),
        bad=router(resources={"limits": {"memory": "much"}}),
        says="spec.router.resources.limits.memory",
    ),
)
