"""Real HAProxy before a process that answers at every address of the loopback interface.

Each slot that is filled has an address of its own, so an answer tells which server was chosen.
Slots are filled as the agent fills them, in the file.
"""

import csv
import http.client
import json
import re
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from e2e.cluster.ports import free_port
from homeserver_operator.render.router.haproxy_cfg import RUN

LOOPBACK = "127.0.0.1"
PATIENCE = 10


@dataclass(frozen=True)
class Answer:
    """What came back: by whom, and what they had been sent. Names of headers are in lower case."""

    status: int
    server: str
    text: str
    headers: Mapping[str, str]

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the server was sent."""
        return {name.lower(): value for name, value in json.loads(self.text).items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        server = self.server
        assert isinstance(server, Servers)
        server.requests.append(f"{self.command} {self.path}")
        if server.lose and server.lose(len(server.requests)):
            self.close_connection = True
            return
        if server.special and server.special(self):
            return
        time.sleep(server.delay)
        body = json.dumps({**self.headers, ":path": self.path}).encode()
        self.send_response(200)
        self.send_header("X-Server", self.connection.getsockname()[0])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Servers(socketserver.ThreadingTCPServer):
    """The process that answers at every address, with the address."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0) -> None:
        super().__init__(("0.0.0.0", port), _Handler)  # noqa: S104 - all of the loopback's
        self.requests: list[str] = []
        self.lose: Callable[[int], bool] | None = None
        """Which requests are read and never answered, by their number."""
        self.delay = 0.0
        """Seconds until a request is answered."""
        self.special: Callable[[BaseHTTPRequestHandler], bool] | None = None
        """Answers some requests in another way: those for which it returns true."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        """Where they listen."""
        return int(self.server_address[1])

    def stop(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()


@contextmanager
def servers() -> Iterator[Servers]:
    """Servers until the end of the block."""
    found = Servers()
    try:
        yield found
    finally:
        with suppress(OSError):
            found.stop()


@dataclass
class Proxy:
    """HAProxy, asked as clients ask it."""

    port: int
    metrics: int
    log: Path
    process: subprocess.Popen[bytes]
    backend_of: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request and wait for its answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=60)
        try:
            # http.client would refuse characters that clients may send.
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", "maple.example")
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            text = answer.read().decode()
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, found.get("x-server", ""), text, found)
        finally:
            connection.close()

    def backend(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> str:
        """The backend that a request reaches."""
        answer = self.ask(method, target, headers)
        return self.backend_of.get(answer.server, str(answer.status))

    def raw(self, data: bytes) -> bytes:
        """What comes back for some bytes, until HAProxy closes or says no more."""
        with socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE) as client:
            found = b""
            # It may close before it has read everything; and who says that there is nothing more
            # to come before there is an answer, has gone for HAProxy.
            with suppress(OSError):
                client.sendall(data)
                found = client.recv(65536)
                client.shutdown(socket.SHUT_WR)
                while chunk := client.recv(65536):
                    found += chunk
            return found

    def admin(self, command: str) -> str:
        """What HAProxy answers to a command of the agent's."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.log.parent / "admin.sock"))
            client.sendall(f"{command}\n".encode())
            found = b""
            while chunk := client.recv(65536):
                found += chunk
            return found.decode()

    def retries(self, backend: str) -> int:
        """How often connecting was tried again."""
        lines = self.admin("show stat").removeprefix("# ").splitlines()
        rows = csv.DictReader(lines)
        (found,) = (r["wretr"] for r in rows if (r["pxname"], r["svname"]) == (backend, "BACKEND"))
        return int(found)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.02)

    def lines(self, count: int) -> list[str]:
        """The access log, once it has so many lines."""
        self.until(lambda: len(self._logged()) >= count)
        return self._logged()

    def _logged(self) -> list[str]:
        lines = self.log.read_text().splitlines(keepends=True)
        return [line for line in lines if line.startswith("{") and line.endswith("\n")]


def filled(config: str, port: int, members: Callable[[str], int]) -> tuple[str, dict[str, str]]:
    """The configuration with so many slots of each backend filled, and whose each address is."""
    lines: list[str] = []
    backend, number, addresses = "", 0, {}
    for line in config.splitlines():
        if head := re.fullmatch(r"backend (\S+)", line):
            backend, number = head[1], number + 1
        slot = re.fullmatch(r"  server s(\d+) \S+:\d+ (.*?)disabled", line)
        if slot and int(slot[1]) <= members(backend):
            address = f"127.60.{number}.{slot[1]}"
            addresses[address] = backend
            line = f"  server s{slot[1]} {address}:{port} {slot[2]}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n", addresses


@contextmanager
def proxy(
    program: Path,
    files: Mapping[str, str],
    directory: Path,
    port: int,
    *,
    members: Callable[[str], int] = lambda _backend: 1,
    change: Callable[[str], str] = lambda config: config,
) -> Iterator[Proxy]:
    """HAProxy with these files, its slots filled with servers at a port."""
    directory.mkdir(parents=True, exist_ok=True)
    front, metrics = free_port(), free_port()
    config, addresses = filled(files["haproxy.cfg"], port, members)
    config = config.replace('"${ROUTER_ADDRESS}:8080"', f"{LOOPBACK}:{front}")
    config = config.replace('"${ROUTER_ADDRESS}:8405"', f"{LOOPBACK}:{metrics}")
    config = change(config)
    for name, text in {**files, "haproxy.cfg": config}.items():
        (directory / name).write_text(text.replace(RUN, str(directory)))
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-db", "-f", directory / "haproxy.cfg"], stdout=output, stderr=output
        )
    try:
        _until_listening(front, directory / "admin.sock", process, log)
        yield Proxy(front, metrics, log, process, addresses)
        assert process.poll() is None, f"HAProxy ended: {log.read_text()[-2000:]}"
    finally:
        process.kill()
        process.wait()


def _until_listening(port: int, admin: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, f"HAProxy does not start: {log.read_text()}"
        # The second listens from the start, under another name.
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            if admin.exists():
                return
        time.sleep(0.02)
    raise AssertionError("HAProxy does not listen")
