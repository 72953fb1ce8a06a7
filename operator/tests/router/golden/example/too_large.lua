-- Answers a request whose body is too large, and reads on for a while: a connection
-- that is closed on a client who still sends may be reset before the answer is read.

local TEXT = '{"errcode": "M_TOO_LARGE", "error": "The request is too large"}'
local LINGER = 30              -- seconds
local CHUNK = 32768              -- bytes

core.register_service("too_large", "http", function(applet)
  applet:set_status(413)
  applet:add_header("content-type", "application/json")
  applet:add_header("content-length", tostring(#TEXT))
  applet:add_header("Access-Control-Allow-Origin", "*")
  applet:start_response()
  applet:send(TEXT)
  local ends = core.now().sec + LINGER
  while core.now().sec < ends and #applet:receive(CHUNK) > 0 do end
end)
