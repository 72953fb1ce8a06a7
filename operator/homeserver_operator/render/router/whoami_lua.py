"""whoami.lua: whose an access token is, as the homeserver says, remembered for a while.

A text, because what renders reads no files. HAProxy's Lua has one state for all threads, locked
while it runs: what is remembered and what is bounded here is so for the whole process.
"""

from typing import Final

PATIENCE: Final = 1
"""Seconds that a request waits for an answer; it goes on without then."""

LUA: Final = r"""-- Whose an access token is that does not say so itself: asked once, and
-- remembered for a while. It chooses a worker and opens nothing. No request fails by it, and no
-- token is kept or logged.

local SOCKET = "@SOCKET@"
local PATIENCE = @PATIENCE@      -- seconds that a request waits for an answer
local KEEP = @KEEP@              -- seconds that a user is remembered
local KEEP_NOBODY = 10           -- seconds for which a token that led to no user is not asked for
local USERS, NOBODIES = 50000, 20000   -- how many tokens are remembered at most
local AT_ONCE = 16               -- lookups in flight
local WAITERS = 256              -- requests that begin to wait in a second
local PERIOD = 60
local STRANGERS = 60             -- tokens unknown to the homeserver, of one network in a period
local ALL_STRANGERS = 6000       -- the same of everybody
local FAILURES, PAUSE = 3, 5     -- lookups without an answer, and the seconds of peace they bring
local LONGEST = 2048             -- bytes of a token
local STEP = 10                  -- milliseconds between two looks

local function clock()
  local now = core.now()
  return now.sec + now.usec / 1000000
end

-- Forgets by halves: what is in the older half goes when the younger is full, or too old.
local function memory(seconds, most)
  local young, old, count, since, ends = {}, {}, 0, 0, 0
  local function turn(now)
    if now - since >= seconds / 2 or count >= most / 2 then
      old, ends = young, since + seconds
      young, count, since = {}, 0, now
    end
  end
  return {
    get = function(key, now)
      turn(now)
      if young[key] ~= nil then return young[key] end
      if now < ends then return old[key] end
    end,
    put = function(key, value, now)
      turn(now)
      if young[key] == nil then count = count + 1 end
      young[key] = value
    end,
  }
end

local users, nobodies = memory(KEEP, USERS), memory(KEEP_NOBODY, NOBODIES)
local pending = {}               -- digest: since when it is asked for
local waiters, second = 0, 0     -- who began to wait in this second
local strangers, everybody, period = {}, 0, 0
local failures, resume = 0, 0

-- Counted by when it begins, because of a request whose client has gone nobody hears again.
local function may_wait(now)
  if math.floor(now) ~= second then waiters, second = 0, math.floor(now) end
  waiters = waiters + 1
  return waiters <= WAITERS
end

local function is_stranger(network, now)
  if now - period >= PERIOD then strangers, everybody, period = {}, 0, now end
  return everybody >= ALL_STRANGERS or (strangers[network] or 0) >= STRANGERS
end

local function has_room(now)
  local count = 0
  for digest, since in pairs(pending) do
    -- Each ends in a few seconds; a task that is no more would keep its place for ever.
    if now - since > 30 then pending[digest] = nil else count = count + 1 end
  end
  return count < AT_ONCE
end

-- The user; false if the homeserver knows none; nil without an answer. HAProxy's own HTTP client
-- would write lines into the access log that are no JSON, of versions that differ.
local function answer_to(request)
  local socket = core.tcp()
  socket:settimeout(10)          -- HAProxy's own bounds, on the other side, are shorter
  local text
  if socket:connect(SOCKET) and socket:send(request) then text = socket:receive("*a") end
  socket:close()
  local status = text and text:match("^HTTP/%d%.%d (%d%d%d) ")
  if status == "200" then
    local user = text:match("\r\n\r\n(@[\33-\57\59-\126]+:[\33-\126]+)$")
    if user and #user <= 255 then return user end
    return nil
  end
  if status and status:sub(1, 1) == "4" then return false end
end

local function look_up(digest, request, network)
  local ok, user = pcall(answer_to, request)
  local now = clock()
  if ok and user then
    users.put(digest, user, now)
  else
    nobodies.put(digest, true, now)
  end
  if ok and user ~= nil then
    failures = 0
  else
    failures = failures + 1
    if failures >= FAILURES then resume = now + PAUSE end
  end
  if ok and user == false then
    strangers[network], everybody = (strangers[network] or 0) + 1, everybody + 1
  end
  pending[digest] = nil
end

local function request_for(txn, token)
  -- Synapse writes down who came from where, so it is told what the client's own request says.
  local agent = txn.sf:req_fhdr("user-agent"):gsub("[^\32-\126]", ""):sub(1, 512)
  return "GET @PATH@ HTTP/1.1\r\nHost: localhost\r\n"
    .. "Authorization: Bearer " .. token .. "\r\nConnection: close\r\n"
    .. "X-Forwarded-For: " .. tostring(txn:get_var("txn.source")) .. "\r\n"
    .. "X-Forwarded-Proto: https\r\nUser-Agent: " .. agent .. "\r\n\r\n"
end

local function user_of(txn, digest)
  local token = txn:get_var("txn.token")
  -- A token may be decoded from the URL: what would end a line of the request is none.
  if not token or #token > LONGEST or token:find("[^\33-\126]") then return end
  local network = tostring(txn:get_var("txn.network"))
  local now = clock()
  local last = now + PATIENCE
  local waits = false
  while true do
    local user = users.get(digest, now)
    if user then return user end
    if nobodies.get(digest, now) or now < resume or now >= last then return end
    if not pending[digest] then
      if is_stranger(network, now) then return end
      if has_room(now) then
        pending[digest] = now
        local request = request_for(txn, token)
        core.register_task(function() look_up(digest, request, network) end)
      end
    end
    if not waits and not may_wait(now) then return end
    waits = true
    core.msleep(STEP)
    now = clock()
  end
end

core.register_action("whoami", {"http-req"}, function(txn)
  local digest = txn:get_var("txn.digest")
  txn:unset_var("txn.digest")    -- asked for once in each request
  local ok, user = pcall(user_of, txn, digest)
  if ok and user then txn:set_var("txn.user", user) end
end)
"""


def render_lua(socket: str, path: str, keep: int) -> str:
    """The file; HAProxy asks for `path` at `socket`, and answers are good for `keep` seconds."""
    text = LUA.replace("@SOCKET@", socket).replace("@PATH@", path).replace("@KEEP@", str(keep))
    return text.replace("@PATIENCE@", str(PATIENCE))
