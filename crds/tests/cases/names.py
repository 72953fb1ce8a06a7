"""How things may be called."""

from crds.tests.cases.case import Case, spec, worker

NAMES = (
    Case(
        sentence="a HomeServer's name has at most 30 characters",
        good=spec(),
        bad=spec(),
        good_name="a" * 30,
        bad_name="a" * 31,
        says="metadata.name: at most 30 characters",
    ),
    Case(
        sentence="a HomeServer's name is a DNS label that starts with a letter",
        good=spec(),
        bad=spec(),
        good_name="a-1",
        bad_name="1.a",
        says="metadata.name: must be lower case letters",
    ),
    Case(
        sentence="a HomeServer's name does not look like an epoch's Service",
        good=spec(),
        bad=spec(),
        good_name="example-east1",
        bad_name="example-e1",
        says="metadata.name: must not end in '-e' and digits",
    ),
    Case(
        sentence="a server name is a host with an optional port",
        good={"serverName": "xn--mller-kva.example.org:8448"},
        bad={"serverName": "https://example.org"},
        says="serverName: must be a Matrix server name",
    ),
    Case(
        sentence="a server name is in lower case",
        good={"serverName": "localhost"},
        bad={"serverName": "Example.org"},
        says="serverName: must be a Matrix server name",
    ),
    Case(
        sentence="a server name that is an IP address needs a host for the Ingress",
        good={"serverName": "[fd00::1]:8448", "ingress": {"host": "matrix.example.org"}},
        bad={"serverName": "198.51.100.1", "ingress": {"className": "nginx"}},
        says="ingress.host: needed if serverName is an IP address",
    ),
    Case(
        sentence="a group's name is a DNS label that starts with a letter",
        good=worker("a-b", serves=["sync"]),
        bad=worker("a_b", serves=["sync"]),
        says="workers[].name: must be lower case letters",
    ),
    *(
        Case(
            sentence=f"no group is called {name}",
            good=worker(f"{name}s", serves=["sync"]),
            bad=worker(name, serves=["sync"]),
            says="workers[].name: main, master, redis, postgres, router and preflight",
        )
        for name in ("main", "master", "redis", "postgres", "router", "preflight")
    ),
    Case(
        sentence="a group's name does not look like a numbered process",
        good=worker("sync2", serves=["sync"]),
        bad=worker("sync-2", serves=["sync"]),
        says="workers[].name: must not end in '-' and digits",
    ),
    Case(
        sentence="a group's name has at most 20 characters",
        good=worker("a" * 20, serves=["sync"]),
        bad=worker("a" * 21, serves=["sync"]),
        says="spec.workers[0].name: Too long",
    ),
    Case(
        sentence="two groups do not share a name",
        good=spec(workers=[{"name": "a", "serves": ["sync"]}, {"name": "b", "serves": ["sync"]}]),
        bad=spec(workers=[{"name": "a", "serves": ["sync"]}, {"name": "a", "serves": ["login"]}]),
        says="spec.workers[1]: Duplicate value",
    ),
)
