"""What ingress-nginx's manual says of regular expressions in paths, as a matcher.

With use-regex every path of the host becomes a case-insensitive location, anchored at its start
only; locations are tried by falling length, on the path that nginx has decoded. Without, a path of
type Exact is that path, and one of type Prefix that path or whatever is below.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from tests.core.matchers import IngressPath, ingress_paths
from tests.core.requests import Request

from homeserver_operator.api.world import Object

USE_REGEX = "nginx.ingress.kubernetes.io/use-regex"


class NginxMatcher:
    """Answers for the Ingress objects of one host."""

    def __init__(self, ingresses: Iterable[Object], host: str) -> None:
        found = list(ingress_paths(ingresses, host))
        regex = any(USE_REGEX in path.ingress["metadata"]["annotations"] for path in found)
        longest_first = sorted(found, key=lambda path: -len(path.path))
        self.locations = [
            (re.compile(_expression(path, regex=regex)), path.service) for path in longest_first
        ]

    def service_of(self, request: Request) -> str | None:
        """The Service that gets a request."""
        decoded = unquote(request.path)
        return next((name for found, name in self.locations if found.match(decoded)), None)


def _expression(path: IngressPath, *, regex: bool) -> str:
    if regex:
        return f"(?is)^{path.path}"
    end = "$" if path.path_type == "Exact" else "(/|$)"
    return f"^{re.escape(path.path)}{end}"
