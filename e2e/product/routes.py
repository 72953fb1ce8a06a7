"""What kind of request a path is, in the words of the resource.

Written by hand from Matrix' specification and the document, not taken from the operator's table:
it is what the table is checked against.
"""

from __future__ import annotations

import re

_CLASSES = (
    ("sync", r"/_matrix/client/(r0|v3)/sync"),
    ("login", r"/_matrix/client/(r0|v3)/(login|register)"),
    ("eventSending", r"/_matrix/client/(r0|v3)/rooms/[^/]+/(send|join|invite|leave)(/.*)?"),
    ("eventSending", r"/_matrix/client/(r0|v3)/join/[^/]+"),
    ("client", r"/_matrix/client/(r0|v3)/createRoom"),
    ("media", r"/_matrix/(media|client/v1/media|federation/v1/media)/.*"),
    ("federation", r"/_matrix/federation/v1/(version|publicRooms|query/[^/]+)"),
    ("federation", r"/_matrix/key/v2/server"),
    ("main", r"/_matrix/client/(r0|v3)/logout"),
)


def class_of(path: str) -> str:
    """The value of workers[].serves that claims the path, "main" for the main process's own."""
    return next((name for name, pattern in _CLASSES if re.fullmatch(pattern, path)), "other")
