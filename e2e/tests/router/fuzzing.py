"""Requests that no well-bred client sends, some thousand kinds of them, the same for each seed.

Each has its own client address and agent, by which it is found in logs again. A request that hides
in another one has others, and asks for what must never be reached.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from e2e.product.routes import samples

METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
QUERIES: Final = (
    *("", "", "since=", "since=s1_2", "nosince=1", "full_state=true", "full_state=false"),
    *("from=t1", "since=%00", "x=%ff&since=s1", "timeout=0&since=s1"),
)
TAILS: Final = (
    *("", "/", "//", "/..", "/./sync", "/typing", "/%2e%2e", "/%2f", ";x=1", "%00", "%zz", "/$"),
    *("/_synapse/replication", "\\x", "%0d%0aX:%201", "/" + "a" * 2000),
)
FORBIDDEN: Final = (
    "/_synapse/replication/fed_send_edu/x",
    "/_synapse/metrics",
    "/_synapse/admin/v1/server_version",
    "/metrics",
)
_SAFE: Final = "/%.:!$&'()*+,;=@~"


@dataclass(frozen=True)
class Attack:
    """One of them. `well_formed`: one request, as HTTP has it, to be routed by these words."""

    number: int
    what: str
    data: bytes
    method: str = ""
    path: str = ""
    query: str = ""

    @property
    def well_formed(self) -> bool:
        """Whether the table says where it must go."""
        return bool(self.method)

    @property
    def source(self) -> str:
        """The address of its client."""
        return source_of(self.number)


def source_of(number: int) -> str:
    """An address for each number."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def inside_of(number: int) -> str:
    """The address of the client of what hides in it."""
    return f"172.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def agent_of(number: int, *, inside: bool = False) -> str:
    """What its client calls itself."""
    return f"fuzz-{number}-inside" if inside else f"fuzz-{number}"


def attacks(seed: int, count: int, host: str, token: str) -> list[Attack]:
    """So many, all kinds in turn. `token` is a real one, which must appear in no log."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated is the point
    paths = [sample.path for sample in samples()]
    maker = _Maker(chance, paths, host, token)
    kinds = maker.kinds()
    return [kinds[number % len(kinds)](number) for number in range(1, count + 1)]


@dataclass(frozen=True)
class _Maker:
    chance: random.Random
    paths: Sequence[str]
    host: str
    token: str

    def kinds(self) -> Sequence[Callable[[int], Attack]]:
        """Those that must be routed as the table says are as many as all others together."""
        return (
            *(self._strange_path, self._smuggled, self._told_token, self._odd_headers),
            *(self._strange_path, self._smuggled, self._told_token, self._odd_line),
            *(self._strange_path, self._no_http),
        )

    def _head(self, number: int, *more: str, close: bool = True) -> str:
        lines = (
            f"Host: {self.host}",
            f"X-Forwarded-For: {source_of(number)}",
            f"User-Agent: {agent_of(number)}",
            *(["Connection: close"] if close else []),
            *more,
        )
        return "\r\n".join(lines)

    def _path(self) -> str:
        path = self.chance.choice(self.paths)
        path = path.replace("<", "%3C").replace(">", "%3E")
        return quote(path, safe=_SAFE)

    def _encoded(self, path: str) -> str:
        """Some characters of it percent-encoded, in whichever case."""
        return "".join(
            f"%{ord(c):{self.chance.choice('xX')}}" if self.chance.random() < 0.03 else c
            for c in path
        )

    def _strange_path(self, number: int) -> Attack:
        chance = self.chance
        path = self._path()
        if chance.random() < 0.5:
            path += chance.choice(TAILS)
        if chance.random() < 0.3:
            path = "/" + self._encoded(path[1:])
        if chance.random() < 0.1:
            path = path.replace("/v3/", f"/{chance.choice(('V3', 'v03', 'r0', 'v3/'))}/")
        method, query = chance.choice(METHODS), chance.choice(QUERIES)
        return self._formed(number, "a strange path", method, path, query)

    def _told_token(self, number: int) -> Attack:
        """The token where it belongs, and everywhere else."""
        chance, token = self.chance, self.token
        path, query, headers = self._path(), "", []
        where = chance.randrange(6)
        if where == 0:
            query = f"since=s1&access_token={token}"
        if where == 1:
            path += f"/{token}"
        if where == 2:
            headers = [f"Cookie: token={token}", f"Referer: http://x/?access_token={token}"]
        if where == 3:
            headers = [f"Authorization: bEaReR {token}", f"X-Access-Token: {token}"]
        if where == 4:
            headers = [f"Authorization: Bearer {token}, Bearer {token}"]
        if where == 5:
            path = path.replace("%3C", f"{token}%3C", 1)
        # With a token of one's own much could be done by other methods.
        return self._formed(number, "a token", "GET", path, query, *headers)

    def _odd_headers(self, number: int) -> Attack:
        more = self.chance.choice(
            (
                ["X-Long: " + "x" * 6000],
                ["X-Longer: " + "x" * 40_000],
                [f"X-{n}: {n}" for n in range(90)],
                [f"X-{n}: {n}" for n in range(400)],
                ["X-Nul: a\0b"],
                ["X-Folded: a\r\n b"],
                ["Host: other.example.org"],
                ["X Space: 1"],
                [": no name"],
                ["no colon"],
                ["X-Tab:\t1", "X-Latin: \xff"],
                ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
                ["Expect: 100-continue"],
                ["X-Forwarded-For: , ,"],
                ["Authorization: X-Matrix origin=" + '"' * 99],
                ["Authorization: Bearer " + "_" * 5000],
            )
        )
        request = f"GET {self._path()} HTTP/1.1\r\n{self._head(number, *more)}\r\n\r\n"
        return self._other(number, f"headers: {more[0][:40]!r}", request)

    def _odd_line(self, number: int) -> Attack:
        path = self._path()
        line = self.chance.choice(
            (
                f"GET http://{self.host}{path} HTTP/1.1",
                f"GET http://other.example.org{path}?since=s1 HTTP/1.1",
                f"GET http://{self.host}/_synapse/replication/x HTTP/1.1",
                f"CONNECT {self.host}:443 HTTP/1.1",
                "OPTIONS * HTTP/1.1",
                f"GET {path} HTTP/1.0",
                f"GET {path}",
                f"GET {path} HTTP/9.9",
                f"GET  {path} HTTP/1.1",
                f"GET {path}#x HTTP/1.1",
                f"GET {path}\xff\xfe HTTP/1.1",
                f"GET {path}\0 HTTP/1.1",
                f"G\0T {path} HTTP/1.1",
                f"{'X' * 300} {path} HTTP/1.1",
                f"GET /{'a' * 70_000} HTTP/1.1",
                f"GET {path}?{'x=1&' * 7000} HTTP/1.1",
            )
        )
        request = f"{line}\r\n{self._head(number)}\r\n\r\n"
        return self._other(number, f"line: {line[:40]!r}", request)

    def _smuggled(self, number: int) -> Attack:
        inside = (
            f"GET {self.chance.choice(FORBIDDEN)} HTTP/1.1\r\nHost: {self.host}\r\n"
            f"X-Forwarded-For: {inside_of(number)}\r\n"
            f"User-Agent: {agent_of(number, inside=True)}\r\n\r\n"
        )
        size = len(inside)
        chunked = f"{size:x}\r\n{inside}\r\n0\r\n\r\n"
        headers, body = self.chance.choice(
            (
                (["Content-Length: 4", "Transfer-Encoding: chunked"], f"0\r\n\r\n{inside}"),
                (["Transfer-Encoding: chunked", "Content-Length: 4"], chunked),
                (["Content-Length: 0", f"Content-Length: {size}"], inside),
                ([f"Content-Length: {size}", "Content-Length: 0"], inside),
                (["Content-Length: 0, 0"], inside),
                (["Content-Length: +0"], inside),
                (["Content-Length: -1"], inside),
                (["Content-Length: 0x0"], inside),
                (["Content-Length : 0"], inside),
                (["Content-Length: 99999999999999999999"], inside),
                (["Transfer-Encoding: xchunked", "Content-Length: 0"], inside),
                (["Transfer-Encoding : chunked"], f"0\r\n\r\n{inside}"),
                (["Transfer-Encoding: \x0bchunked"], f"0\r\n\r\n{inside}"),
                (["Transfer-Encoding: chunked, identity"], f"0\r\n\r\n{inside}"),
                (["Transfer-Encoding: chunked", "Transfer-Encoding: x"], f"0\r\n\r\n{inside}"),
                (["X: y\r\n Transfer-Encoding: chunked"], f"0\r\n\r\n{inside}"),
                (["X: y\nContent-Length: 0"], inside),
                (["Transfer-Encoding: chunked"], f"0;x\n{inside}\r\n\r\n{inside}"),
                (["Transfer-Encoding: chunked"], f"fffffffffffffffff\r\n{inside}"),
                # Nothing is wrong with these: two requests, of which the second is refused.
                (["Content-Length: 0"], inside),
                ([], inside),
            )
        )
        method = self.chance.choice(("POST", "PUT", "GET"))
        head = self._head(number, *headers, close=False)
        request = f"{method} {self._path()} HTTP/1.1\r\n{head}\r\n\r\n{body}"
        return self._other(number, f"smuggled: {headers!r:.60}", request)

    def _no_http(self, number: int) -> Attack:
        data = self.chance.choice(
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.chance.randbytes(300),
                b"PROXY TCP4 10.9.9.9 10.9.9.9 1 2\r\nGET / HTTP/1.1\r\n\r\n",
                self.chance.randbytes(1000),
                b"\r\n" * 1000,
                b"\0" * 4000,
                b"GET / HTTP/1.1\r\nHost",
            )
        )
        return Attack(number, f"no HTTP: {data[:20]!r}", data)

    def _formed(
        self, number: int, what: str, method: str, path: str, query: str, *more: str
    ) -> Attack:
        length = ["Content-Length: 2"] if method in {"POST", "PUT", "PATCH"} else []
        target = f"{path}?{query}" if query else path
        head = self._head(number, *length, *more)
        request = f"{method} {target} HTTP/1.1\r\n{head}\r\n\r\n{'{}' if length else ''}"
        return Attack(number, what, request.encode("latin-1"), method, path, query)

    def _other(self, number: int, what: str, request: str) -> Attack:
        return Attack(number, what, request.encode("latin-1"))
