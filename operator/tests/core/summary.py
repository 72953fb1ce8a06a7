"""A whole homeserver on a page: what is particular to each process, and where each Service leads.

For examples, whose single objects show nothing that the cases do not show.
"""

from typing import Any

from tests.core import case
from tests.core.inventory import homeserver_yaml, listeners, selected

from homeserver_operator.api.world import Object


def summary(name: str) -> dict[str, Any]:
    """What all processes have, what each has besides, Services with their processes, the rest."""
    built = case.manifests(name)
    facts = {
        process: _process(deployment, homeserver_yaml(name, process))
        for process, deployment in built.synapse.items()
    }
    everybody = {
        fact: value
        for fact, value in facts["main"].items()
        if all(other.get(fact) == value for other in facts.values())
    }
    kinds = [manifest["kind"] for manifest in built.all()]
    prefix = f"{built.access[0]['metadata']['name']}-"
    return {
        "everybody": everybody,
        "processes": {
            process: {fact: value for fact, value in found.items() if fact not in everybody}
            for process, found in facts.items()
        },
        "services": {
            service["metadata"]["name"]: " ".join(
                found.removeprefix(prefix) for found in selected(name, service)
            )
            for service in built.network
        },
        "objects": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


def _process(deployment: Object, settings: Object) -> dict[str, Any]:
    """Its homeserver.yaml, listeners in short, and what its pod gives it."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    listens = {
        listener["port"]: " ".join(n for r in listener.get("resources", ()) for n in r["names"])
        or listener["type"]
        for listener in listeners(settings)
    }
    own = {key: settings[key] for key in settings if key not in {"listeners", "worker_listeners"}}
    return own | {
        "pod": {
            "replicas": deployment["spec"].get("replicas"),
            "resources": container.get("resources", {}),
        },
        "listens": listens,
        "environment": " ".join(variable["name"] for variable in container["env"]),
        "mounts": " ".join(sorted(mount["mountPath"] for mount in container["volumeMounts"])),
    }
