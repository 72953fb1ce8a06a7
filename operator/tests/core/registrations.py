"""What the installed Synapse registers in each sort of process, asked of Synapse itself.

Run as a program (`python -m tests.core.registrations`) it builds the processes on a database of its
own, with the listeners that the operator renders, walks their trees of resources, and prints one
line for each method and pattern: data/route_ownership.txt, written by `pytest --update-golden`. It
must not import the product.
"""

import logging
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import synapse.app.generic_worker
import synapse.app.homeserver
import synapse.rest
from synapse.config.homeserver import HomeServerConfig
from synapse.http.server import JsonResource
from tests.core.variants import VARIANTS
from twisted.web.resource import Resource

PROCESSES: Final[dict[str, dict[str, Any]]] = {
    "s": {"enable_media_repo": False},
    "w": {"enable_media_repo": False, "worker_app": "synapse.app.generic_worker"},
    "m": {},
    "r": {"worker_app": "synapse.app.generic_worker"},
}
"""Main without the media repository, a worker without, main with it, a worker with it."""


def main() -> None:
    """Print the table."""
    logging.disable()
    found: dict[tuple[str, str], dict[str, str]] = {}
    for variant, settings in VARIANTS.items():
        for letter, own in PROCESSES.items():
            for row in set(_of_process(settings | own)):
                cells = found.setdefault(row, dict.fromkeys(VARIANTS, ""))
                cells[variant] += letter
    for (method, pattern), cells in sorted(found.items(), key=lambda item: item[0][::-1]):
        told = " ".join(f"{letters or '-':4}" for letters in cells.values())
        sys.stdout.write(f"{told} {method:6} {pattern}\n")


def _of_process(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # Synapse keeps the media servlets for all later processes once one has loaded them.
    synapse.rest.SERVLET_GROUPS.pop("media", None)
    with tempfile.TemporaryDirectory() as directory:
        main_settings = {key: value for key, value in settings.items() if key != "worker_app"}
        server = _started(main_settings, Path(directory))
        if "worker_app" in settings:
            # The main process has made the database, which a worker will not.
            server = _started(settings, Path(directory))
        yield from _walk(_tree(server), "")


def _started(settings: dict[str, Any], directory: Path) -> Any:
    listener = {"type": "http", "port": 8008, "resources": [{"names": ["client", "federation"]}]}
    config: dict[str, Any] = {
        "server_name": "test.invalid",
        "report_stats": False,
        "suppress_key_server_warning": True,
        "signing_key": "ed25519 a_test 5qXjZ0vJmS0bYF2m1Wq3ox7Yk9o8d3pXy0l1k2h3g4s",
        "macaroon_secret_key": "word",
        "form_secret": "word",
        "worker_replication_secret": "word",
        "media_store_path": str(directory),
        "database": {"name": "sqlite3", "args": {"database": str(directory / "db")}},
        "redis": {"enabled": True},
        "public_baseurl": "https://test.invalid/",
        "listeners": [listener],
    } | settings
    module = synapse.app.homeserver
    if "worker_app" in settings:
        module = synapse.app.generic_worker
        if settings.get("enable_media_repo", True):
            listener["resources"] = [{"names": ["client", "federation", "media"]}]
        config |= {
            "worker_name": "worker",
            "worker_listeners": [listener],
            "instance_map": {"main": {"host": "main.invalid", "port": 9093}},
        }
    parsed = HomeServerConfig()
    parsed.parse_config_dict(config, str(directory), str(directory))
    server_class = (
        module.GenericWorkerServer if "worker_app" in settings else module.SynapseHomeServer
    )
    server = server_class("test.invalid", config=parsed)
    server.setup()
    return server


def _tree(server: Any) -> Resource:
    """The tree that the process would listen with."""
    roots: list[Resource] = []

    def keep(_server: Any, _listener: Any, root: Resource, *_rest: Any, **_more: Any) -> list[Any]:
        roots.append(root)
        return []

    if server.config.worker.worker_app:
        with patch("synapse.app._base.listen_http", keep):
            server._listen_http(server.config.worker.worker_listeners[0])
    else:
        with patch("synapse.app.homeserver.listen_http", keep):
            list(server._listener_http(server.config, server.config.server.listeners[0]))
    (root,) = roots
    return root


def _walk(resource: Resource, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(resource, JsonResource):
        for pattern, methods in resource._routes.items():
            yield from ((method.decode(), pattern.pattern) for method in methods)
    elif path and type(resource).__name__ not in {"UnrecognizedRequestResource", "Resource"}:
        tail = "(/.*)?" if resource.isLeaf else ""
        for method in _methods(resource):
            yield method, f"^{re.escape(path)}{tail}$"
    for name, child in resource.children.items():
        segment = name.decode() if isinstance(name, bytes) else name
        yield from _walk(child, f"{path}/{segment}")


def _methods(resource: Resource) -> list[str]:
    """Methods of a resource without patterns, by Twisted's and Synapse's naming of them."""
    found = [
        method
        for method in ("DELETE", "GET", "POST", "PUT")
        if hasattr(resource, f"render_{method}") or hasattr(resource, f"_async_render_{method}")
    ]
    return found or ["*"]


if __name__ == "__main__":
    main()
