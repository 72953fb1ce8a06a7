-- Answers a request whose body is too large. HAProxy reads the rest of it and
-- throws it away; a rule's own answer would close the connection on a client who still sends.

local TEXT = '{"errcode": "M_TOO_LARGE", "error": "The request is too large"}'

core.register_service("too_large", "http", function(applet)
  applet:set_status(413)
  applet:add_header("content-type", "application/json")
  applet:add_header("content-length", tostring(#TEXT))
  applet:add_header("Access-Control-Allow-Origin", "*")
  applet:start_response()
  applet:send(TEXT)
end)
