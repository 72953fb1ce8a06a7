"""Whoever connects while a process waits for its fences is answered once it serves."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.processes import ending, http_listener
from tests.services import LOOPBACK, wait_until

from e2e.cluster.ports import free_port
from homeserver_runtime.listeners import ANY_IPV4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.held import Held
    from tests.processes import Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

WAITING = 300
"""More than Synapse's own queues hold."""


async def ask(host: str, port: int, **options: Any) -> bytes:
    """The status line of an answer to a request that is sent at once."""
    reader, writer = await asyncio.open_connection(host, port, **options)
    writer.write(b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    await reader.read()
    writer.close()
    return line


async def test_what_arrives_before_entry_is_answered_after_it(
    site: Site, hold: Callable[..., Held], tmp_path: Path
) -> None:
    old = hold("elsewhere", topology=1).enter()
    plain, other, secure, replication = (free_port() for _ in range(4))
    certificate = write_certificate(tmp_path)
    process = site.write(
        "main",
        role="main",
        launcher={"fences": {"topology": 2}},
        settings={
            "tls_certificate_path": str(certificate),
            "tls_private_key_path": str(tmp_path / "key"),
            "listeners": [
                http_listener(plain, ["client"]),
                http_listener(other, ["client"]) | {"bind_addresses": ["::1", LOOPBACK]},
                http_listener(secure, ["client"]) | {"tls": True},
                http_listener(replication, ["replication"]),
            ],
        },
    )
    context = ssl.create_default_context(cafile=certificate)
    with ending(process.start()):
        await asyncio.to_thread(
            wait_until, lambda: process.probe("/started")[0] == 200, what="a warm process"
        )
        # Started is not said before connections are held.
        early = [asyncio.create_task(ask(LOOPBACK, plain)) for _ in range(WAITING)]
        early += [asyncio.create_task(ask(host, other)) for host in ("::1", LOOPBACK)]
        early += [
            asyncio.create_task(ask(LOOPBACK, secure, ssl=context, server_hostname="localhost"))
        ]
        await asyncio.to_thread(
            wait_until, lambda: process.probe("/state")[1]["waiting_for"], what="one that waits"
        )
        socket.create_connection((LOOPBACK, replication)).close()
        assert process.probe("/ready")[0] == 503
        assert not any(task.done() for task in early)
        await asyncio.to_thread(old.fence.leave)
        assert set(await asyncio.gather(*early)) == {b"HTTP/1.1 200 OK\r\n"}
        await asyncio.to_thread(process.wait_ready)
        for host, port in ((LOOPBACK, plain), ("::1", other), (LOOPBACK, other)):
            assert listeners(host, port) == 1


async def test_where_services_lead_to_ipv6_both_families_reach_every_listener(site: Site) -> None:
    client, metrics = free_port(), free_port()
    everywhere = {"bind_addresses": [ANY_IPV4]}
    settings = [
        http_listener(client, ["client"]) | everywhere,
        {"type": "metrics", "port": metrics} | everywhere,
    ]
    process = site.write("main", role="main", settings={"listeners": settings})
    with ending(process.start(POD_IP="fd00::12")):
        await asyncio.to_thread(process.wait_ready)
        for port in (client, metrics):
            for host in ("::1", LOOPBACK):
                assert (await ask(host, port)).split()[1] == b"200"


def listeners(host: str, port: int) -> int:
    """How many sockets listen there, as the kernel lists them."""
    family = "tcp6" if ":" in host else "tcp"
    with open(f"/proc/net/{family}", encoding="ascii") as table:  # noqa: PTH123 - no file
        rows = [line.split() for line in table]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def write_certificate(directory: Path) -> Path:
    """A certificate of localhost that is its own authority; its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path = directory / "certificate"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path
