"""What a homeserver reports to: an application service, a push gateway and a mail server in one.

Runs in a pod of its own, with nothing but the standard library, and remembers what comes in. GET
answers with all of it, a JSON list in the order of arrival.
"""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTTP_PORT = 8080
SMTP_PORT = 8025

_received: list[dict[str, Any]] = []


class _Http(BaseHTTPRequestHandler):
    """Accepts every transaction and every notification, as the real ones do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(_received)

    def do_PUT(self) -> None:
        self._record({})

    def do_POST(self) -> None:
        self._record({"rejected": []})

    def log_message(self, *arguments: object) -> None:
        """Say nothing: what matters is in the record."""

    def _record(self, answer: dict[str, Any]) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        _received.append(
            {"path": path, "sender": self.client_address[0], "content": json.loads(body)}
        )
        self._answer(answer)

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs that has one message to deliver."""

    def handle(self) -> None:
        recipients = []
        self._say("220 recorder")
        for line in self.rfile:
            command = line.decode().strip()
            verb = command[:4].upper()
            if verb == "RCPT":
                recipients.append(command.partition("<")[2].rpartition(">")[0])
            if verb == "DATA":
                self._say("354 go on")
                self._record(recipients)
            self._say("221 bye" if verb == "QUIT" else "250 recorder")
            if verb == "QUIT":
                return

    def _record(self, recipients: list[str]) -> None:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.decode())
        content = {"recipients": recipients, "message": "".join(lines)}
        _received.append({"path": "mail", "sender": self.client_address[0], "content": content})

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class _SmtpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve until the process ends."""
    mail = _SmtpServer(("", SMTP_PORT), _Smtp)
    threading.Thread(target=mail.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", HTTP_PORT), _Http).serve_forever()


if __name__ == "__main__":
    main()
