-- What `set server` does, also in a process that only finishes what it has begun: HAProxy's own
-- command says there that the proxy is disabled, while requests are still held.
--
--   router server BACKEND/SERVER addr IP port PORT
--   router server BACKEND/SERVER state ready|maint
--
-- Says nothing but of addresses, as HAProxy's own does. The agent sends these; see plan.py.

local function obey(target, what, value, port)
    local proxy, name = string.match(target or "", "^([^/]+)/(.+)$")
    local backend = proxy and core.backends[proxy]
    local server = backend and backend.servers[name]
    if not server then
        return "No such server."
    elseif what == "addr" and value and port then
        return server:set_addr(value, port)
    elseif what == "state" and value == "ready" then
        server:set_ready()
    elseif what == "state" and value == "maint" then
        server:set_maint()
    else
        return "No such command."
    end
end

local function answer(applet, _, _, target, what, value, _, port)
    local said = obey(target, what, value, port)
    if said then
        applet:send(said .. "\n")
    end
end

core.register_cli({"router", "server"}, "router server: as set server, always", answer)
