"""What ingress-nginx's manual says of regular expressions in paths, as a matcher.

With use-regex every path of the host becomes a case-insensitive location, anchored at its start
only; locations are tried by falling length, on the path that nginx has decoded.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from homeserver_operator.api.world import Object


class Matcher:
    """Answers for the Ingress objects of one homeserver."""

    def __init__(self, ingresses: Iterable[Object]) -> None:
        locations = [
            (path["path"], path["backend"]["service"]["name"])
            for ingress in ingresses
            for rule in ingress["spec"]["rules"]
            for path in rule["http"]["paths"]
        ]
        longest_first = sorted(locations, key=lambda location: -len(location[0]))
        self.locations = [
            (re.compile(f"^{path}", re.IGNORECASE | re.DOTALL), service)
            for path, service in longest_first
        ]

    def service_of(self, request_path: str) -> str | None:
        """The Service that gets a request, None for a 404 of the controller's."""
        decoded = unquote(request_path)
        return next((name for found, name in self.locations if found.match(decoded)), None)
