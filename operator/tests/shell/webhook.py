"""A mutating admission webhook on loopback, as a cluster's administrators may have one."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from e2e.cluster.pki import Authority

Patch = list[dict[str, Any]]
"""A JSON patch."""


@contextmanager
def webhook(directory: Path, resource: str, patch: Callable[[Any], Patch]) -> Iterator[Any]:
    """Answer while the block runs; the configuration that an API server needs for it.

    It concerns Deployments and the like (`resource`, of apps/v1) that are created or updated;
    `patch` is asked about each.
    """
    authority = Authority(directory)
    authority.create()
    certificate, key = authority.server("webhook", ["IP:127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = json.dumps(patch(review["request"]["object"])).encode()
            answer = {
                "uid": review["request"]["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": base64.b64encode(said).decode(),
            }
            body = json.dumps({**review, "request": None, "response": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield _configuration(authority, server.server_address[1], resource)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _configuration(authority: Authority, port: int, resource: str) -> dict[str, Any]:
    trusted = base64.b64encode(authority.certificate.read_bytes()).decode()
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "policy"},
        "webhooks": [
            {
                "name": "policy.example.org",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": trusted},
                "rules": [
                    {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": [resource],
                     "operations": ["CREATE", "UPDATE"]}
                ],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }
        ],
    }  # fmt: skip
