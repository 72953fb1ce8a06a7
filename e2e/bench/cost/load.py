"""The requests that are measured, and wrk that sends them.

No two requests of a kind have the same room, transaction or token for long, as in life: caches of
what was looked up before help no more than they would there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.bench.cost.configurations import HOST
from e2e.cluster.progress import RigError

PATIENCE = 60
SECONDS = 1
"""wrk takes whole ones."""

CLIENT = "/_matrix/client/v3"
ROOM = f"{CLIENT}/rooms/!AbCdEfGhIjKlMnOpQr@number@:maple.example"
USER = "Bearer syt_YWxpY2U@number@_QvHkjhsdYTRGFbnmZXCV_1a2B3c"
SERVER = (
    'X-Matrix origin="other@number@.example",destination="maple.example",key="ed25519:a_abcd",'
    'sig="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"'
)
SINCE = "s72595@number@_4483_1934_5567_221_8_1_443_0_1"


@dataclass(frozen=True)
class Kind:
    """One kind of request. `@number@` stands for a number that is another one each time."""

    name: str
    method: str
    target: str
    authorization: str = USER
    body: str = ""


KINDS: tuple[Kind, ...] = (
    Kind("sync", "GET", f"{CLIENT}/sync?filter=0&timeout=0&since={SINCE}"),
    Kind("versions", "GET", "/_matrix/client/versions"),
    Kind(
        "keys/query", "POST", f"{CLIENT}/keys/query", body='{"device_keys":{"@bob:b.example":[]}}'
    ),
    Kind(
        "send",
        "PUT",
        f"{ROOM}/send/m.room.message/m17000000@number@.1",
        body='{"msgtype":"m.text","body":"hello"}',
    ),
    Kind("messages", "GET", f"{ROOM}/messages?dir=b&limit=30&from=t1-@number@_0"),
    Kind(
        "typing",
        "PUT",
        f"{ROOM}/typing/@alice@number@:maple.example",
        body='{"typing":true,"timeout":30000}',
    ),
    Kind(
        "federation send",
        "PUT",
        "/_matrix/federation/v1/send/17000000@number@",
        authorization=SERVER,
        body='{"origin":"other.example","origin_server_ts":1700000000000,"pdus":[]}',
    ),
    Kind("media", "GET", "/_matrix/client/v1/media/download/other.example/AbCdEf@number@"),
    Kind("main", "GET", f"{CLIENT}/thirdparty/location/irc@number@"),
)
"""From the first rows of the table to the last, and one that none of them leads anywhere."""


@dataclass(frozen=True)
class Sent:
    """What wrk saw. Latencies are in µs."""

    requests: int
    median: float
    p99: float


def script(kinds: Sequence[Kind]) -> str:
    """A script for wrk that sends these in turn."""
    requests = ",\n".join(f"  {_lua(_text(kind))}" for kind in kinds)
    return f"""\
local texts = {{
{requests}
}}
local parts = {{}}
for index, text in ipairs(texts) do
  parts[index] = {{}}
  for part in (text .. "@number@"):gmatch("(.-)@number@") do
    table.insert(parts[index], part)
  end
end
local number = 100000
function request()
  number = number + 1
  return table.concat(parts[number % #parts + 1], tostring(number))
end
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{{"requests": %d, "median": %d, "p99": %d, "errors": %d}}',
    summary.requests, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
"""


def _text(kind: Kind) -> str:
    head = [
        f"{kind.method} {kind.target} HTTP/1.1",
        f"Host: {HOST}",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept: application/json",
        "Accept-Language: en-US,en;q=0.5",
        "Accept-Encoding: gzip, deflate, br",
        f"Authorization: {kind.authorization}",
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
    ]
    if kind.method != "GET":
        # A number that stands in a body would make its length another.
        head += ["Content-Type: application/json", f"Content-Length: {len(kind.body)}"]
    return "\r\n".join([*head, "", kind.body])


def _lua(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", "\\r").replace("\n", "\\n") + '"'


def send(program: Path, port: int, lua: Path, *, connections: int) -> Sent:
    """Send requests one after another on each connection; raises RigError if one of them fails."""
    command: list[str | Path] = [
        program,
        "--threads=1",
        f"--connections={connections}",
        f"--duration={SECONDS}s",
        # On a busy machine some answers are late, which is no failure.
        f"--timeout={PATIENCE}s",
        "--script",
        lua,
        f"http://127.0.0.1:{port}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RigError(f"wrk failed:\n{done.stdout}{done.stderr}")
    return read(done.stdout)


def read(output: str) -> Sent:
    """What the script said at its end; raises RigError if requests failed."""
    said = json.loads(output.splitlines()[-1])
    if said.pop("errors"):
        raise RigError(f"requests failed:\n{output}")
    return Sent(**said)
