"""What groups of workers may claim."""

from typing import Any

from crds.tests.cases.case import Case, Spec, both, once, spec, worker

SINGLE_STREAMS = ("typing", "toDevice", "accountData", "presence", "pushRules")
CPU = {"requests": {"cpu": "500m"}}
NOT_SCALED: dict[str, Spec] = {
    "writes": {"serves": ["sync"], "writes": ["events"]},
    "runs something": {"runs": ["federationSender"]},
    "serves single sign-on": {"serves": ["sso"]},
}

SINGLE_DUTIES = ("backgroundTasks", "userDirectory", "appservices", "mediaBackgroundJobs")


def bridged(**fields: Any) -> Spec:
    """A spec with an application service and a group for it."""
    group = worker("bridged", appservices=["bridge"], **fields)
    return {**group, "appservices": [{"name": "bridge", "secretName": "bridge"}]}


WORKERS = (
    Case(
        sentence="a group claims something",
        good=worker(runs=["pusher"]),
        bad=worker(serves=[], replicas=2),
        says="workers[]: a group must claim something",
    ),
    *(
        Case(
            sentence=f"one group writes {stream}",
            good=once("writes", stream),
            bad=both("writes", stream),
            says=f"workers: the stream {stream} has exactly one writer",
        )
        for stream in SINGLE_STREAMS
    ),
    *(
        Case(
            sentence=f"one process writes {stream}",
            good=worker(writes=[stream], replicas=1),
            bad=worker(writes=["events", stream], replicas=2),
            says="workers[].replicas: at most 1 in a group that writes",
        )
        for stream in SINGLE_STREAMS
    ),
    *(
        Case(
            sentence=f"one group runs {duty}",
            good=once("runs", duty),
            bad=both("runs", duty),
            says=f"workers: the duty {duty} runs in one place",
        )
        for duty in SINGLE_DUTIES
    ),
    *(
        Case(
            sentence=f"one process runs {duty}",
            good=worker(runs=[duty]),
            bad=worker(runs=[duty, "pusher"], replicas=2),
            says="workers[].replicas: at most 1 in a group that runs",
        )
        for duty in ("backgroundTasks", "userDirectory", "appservices")
    ),
    *(
        Case(
            sentence=f"{stream} may have many writers, of which a misspelt one is none",
            good=both("writes", stream),
            bad=worker(writes=[stream.lower() + "_"]),
            says="spec.workers[0].writes[0]: Unsupported value",
        )
        for stream in ("events", "receipts", "deviceLists", "threadSubscriptions")
    ),
    Case(
        sentence="the media background jobs run where media is served",
        good=worker(serves=["media"], runs=["mediaBackgroundJobs"], replicas=2),
        bad=worker(serves=["sync"], runs=["mediaBackgroundJobs"]),
        says="workers[].runs: mediaBackgroundJobs needs a media process",
    ),
    Case(
        sentence="one group serves sso",
        good=spec(
            workers=[{"name": "one", "serves": ["sso"]}, {"name": "two", "serves": ["sync"]}]
        ),
        bad=spec(workers=[{"name": name, "serves": ["sync", "sso"]} for name in ("one", "two")]),
        says="workers: half-done single sign-ons are in the memory of one process",
    ),
    Case(
        sentence="one process serves sso",
        good=worker(serves=["sso", "login"], replicas=1),
        bad=worker(serves=["login", "sso"], replicas=2),
        says="workers[].replicas: at most 1 in a group that serves sso",
    ),
    Case(
        sentence="a group of an application service serves something",
        good=bridged(serves=["eventSending"]),
        bad=bridged(runs=["pusher"]),
        says="workers[].appservices: they narrow what the group serves",
    ),
    Case(
        sentence="what a group serves for everybody cannot be one application service's",
        good=bridged(serves=["client", "sync"]),
        bad=bridged(serves=["client", "federationInbound"]),
        says="workers[].appservices: cannot narrow sso, media, federation",
    ),
    Case(
        sentence="a group is for application services that are there",
        good=bridged(serves=["client"]),
        bad=worker(serves=["client"], appservices=["bridge"]),
        says="workers: a group names an application service that is not there",
    ),
    Case(
        sentence="decisions on media are written where media are served",
        good=worker(
            serves=["media"],
            writes=["quarantinedMediaChanges"],
            runs=["mediaBackgroundJobs"],
            replicas=2,
        ),
        bad=worker(writes=["quarantinedMediaChanges"]),
        says="workers[].writes: quarantinedMediaChanges needs a media process",
    ),
    Case(
        sentence="many processes may make the requests to other servers",
        good=both("runs", "outboundFederation"),
        bad=worker(runs=["outbound_federation_restricted_to"]),
        says="spec.workers[0].runs[0]: Unsupported value",
    ),
    Case(
        sentence="a misspelt class of requests is refused",
        good=worker(serves=["initialSync"]),
        bad=worker(serves=["initial_sync"]),
        says="spec.workers[0].serves[0]: Unsupported value",
    ),
    Case(
        sentence="a misspelt duty is refused",
        good=worker(runs=["federationSender"]),
        bad=worker(runs=["federation_sender"]),
        says="spec.workers[0].runs[0]: Unsupported value",
    ),
    Case(
        sentence="a class is named once",
        good=worker(serves=["sync", "login"]),
        bad=worker(serves=["sync", "sync"]),
        says="spec.workers[0].serves[1]: Duplicate value",
    ),
    Case(
        sentence="a group has at most 99 processes",
        good=worker(serves=["sync"], replicas=99),
        bad=worker(serves=["sync"], replicas=100),
        says="spec.workers[0].replicas",
    ),
    Case(
        sentence="an unknown field is refused",
        good=worker(serves=["sync"], affinity={"podAntiAffinity": {}}),
        bad=worker(serves=["sync"], replica=2),
        says='unknown field "spec.workers[0].replica"',
    ),
    Case(
        sentence="a number is fixed or an autoscaler's",
        good=worker(
            serves=["sync"], autoscale={"maxReplicas": 3, "cpuUtilization": 70}, resources=CPU
        ),
        bad=worker(
            serves=["sync"],
            replicas=2,
            autoscale={"maxReplicas": 3, "cpuUtilization": 70},
            resources=CPU,
        ),
        says="workers[].replicas: cannot be set together with autoscale",
    ),
    *(
        Case(
            sentence=f"a group that {does} is not autoscaled",
            good=worker(
                serves=["media"], autoscale={"maxReplicas": 3, "metrics": [{"type": "Pods"}]}
            ),
            bad=worker(**claims, autoscale={"maxReplicas": 3, "metrics": [{"type": "Pods"}]}),
            says="workers[].autoscale: only for groups that only serve",
        )
        for does, claims in NOT_SCALED.items()
    ),
    Case(
        sentence="an autoscaler's bounds are in order",
        good=worker(
            serves=["sync"],
            autoscale={"minReplicas": 4, "maxReplicas": 4, "cpuUtilization": 70},
            resources=CPU,
        ),
        bad=worker(
            serves=["sync"],
            autoscale={"minReplicas": 4, "maxReplicas": 3, "cpuUtilization": 70},
            resources=CPU,
        ),
        says="workers[].autoscale.minReplicas: must not exceed maxReplicas",
    ),
    Case(
        sentence="an autoscaler has something to go by",
        good=worker(
            serves=["sync"],
            autoscale={
                "maxReplicas": 3,
                "metrics": [{"type": "Pods"}],
                "behavior": {"scaleUp": {}},
            },
        ),
        bad=worker(serves=["sync"], autoscale={"maxReplicas": 3, "metrics": []}),
        says="workers[].autoscale: needs something to go by",
    ),
    *(
        Case(
            sentence=f"a target of {resource} needs a request, or a limit that stands for it",
            good=worker(
                serves=["sync"],
                autoscale={"maxReplicas": 3, f"{resource}Utilization": 70},
                resources={"limits": {resource: "1G"}},
            ),
            bad=worker(
                serves=["sync"],
                autoscale={"maxReplicas": 3, f"{resource}Utilization": 70},
                resources={"requests": {other: "1G"}},
            ),
            says=f"workers[].resources.requests.{resource}: needed with",
        )
        for resource, other in (("cpu", "memory"), ("memory", "cpu"))
    ),
    Case(
        sentence="resources are quantities",
        good=worker(serves=["sync"], resources={"requests": {"cpu": 1, "memory": "1.5Gi"}}),
        bad=worker(serves=["sync"], resources={"requests": {"memory": "1.5 GB"}}),
        says="spec.workers[0].resources.requests.memory",
    ),
)
