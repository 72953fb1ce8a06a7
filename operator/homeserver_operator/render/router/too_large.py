"""too_large.lua: the answer to a body that is too large.

HAProxy's own closes the connection on a client who still sends. The kernel then resets it, and
whether the client sees the answer is chance: of uploads through Traefik, two in five ended in 502.
What a service of Lua's leaves of a request, HAProxy reads and throws away.
A text, because what renders reads no files.
"""

from typing import Final

from homeserver_operator.render.router.answers import HEADERS, JSON, text

FILE: Final = "too_large.lua"
ACTION: Final = "http-request use-service lua.too_large"

LUA: Final = r"""-- Answers a request whose body is too large. HAProxy reads the rest of it and
-- throws it away; a rule's own answer would close the connection on a client who still sends.

local TEXT = '@TEXT@'

core.register_service("too_large", "http", function(applet)
  applet:set_status(413)
  applet:add_header("content-type", "@JSON@")
  applet:add_header("content-length", tostring(#TEXT))
@HEADERS@
  applet:start_response()
  applet:send(TEXT)
end)
"""


def render_too_large() -> str:
    """The file."""
    headers = "\n".join(f'  applet:add_header("{n}", "{v}")' for n, v in HEADERS.items())
    said = text("M_TOO_LARGE", "The request is too large")
    return LUA.replace("@TEXT@", said).replace("@JSON@", JSON).replace("@HEADERS@", headers)
