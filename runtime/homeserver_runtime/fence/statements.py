"""The statements of the protocol: each is one round trip and, on the server, one transaction.

The gate is held by the server's statement and not by the client, so that a client that is stopped
or cut off in the middle holds up nobody. Nothing waits behind the gate but for the gate.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from homeserver_runtime.fence.claim import (
    BUSY,
    GATE,
    HOLDER,
    IDLE,
    NAME,
    NEXT,
    REMAINS,
    SESSION,
    Claim,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIVE_ADVISORY = """
  l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_LIVE = f"""
  SELECT l.pid, l.objid::bigint AS epoch FROM pg_locks l
  WHERE {_LIVE_ADVISORY}
"""  # noqa: S608 - as below

ENTER = f"""
DO $enter$
DECLARE
  claim jsonb := current_setting('homeserver.claim')::jsonb;
  wanted jsonb;
  known bigint;
  agreed text;
  recorded jsonb := '{{}}';
  begins boolean := false;
  later text;
  blocker int;
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  PERFORM pg_advisory_xact_lock({GATE}, 0);
  CREATE TABLE IF NOT EXISTS homeserver_fences (
    fence text PRIMARY KEY, epoch bigint NOT NULL, content text
  );
  CREATE TABLE IF NOT EXISTS homeserver_successors (
    pid int PRIMARY KEY, name bigint NOT NULL, duties text[] NOT NULL, address text NOT NULL
  );
  FOR wanted IN SELECT * FROM jsonb_array_elements(claim->'fences') LOOP
    SELECT max(epoch) INTO known FROM (
      SELECT f.epoch FROM homeserver_fences f WHERE f.fence = wanted->>'fence'
      UNION ALL
      SELECT live.epoch FROM ({_LIVE} AND l.classid::bigint = (wanted->>'class')::bigint) live
    ) AS ever;
    IF known IS NOT NULL THEN
      recorded := recorded || jsonb_build_object(wanted->>'fence', known);
      begins := begins OR known < (wanted->>'epoch')::bigint;
    END IF;
    SELECT f.content INTO agreed FROM homeserver_fences f
      WHERE f.fence = wanted->>'fence' AND f.epoch = (wanted->>'epoch')::bigint;
    -- One that is not told (null) differs from none.
    IF later IS NULL
      AND (known > (wanted->>'epoch')::bigint OR agreed <> wanted->>'content') THEN
      later := wanted->>'fence';
    END IF;
  END LOOP;
  IF later IS NOT NULL THEN
    PERFORM set_config('homeserver.answer', jsonb_build_object(
      'outcome', 'superseded', 'fence', later, 'epoch', recorded->later,
      'recorded', recorded)::text, false);
    RETURN;
  END IF;
  SELECT min(live.pid) INTO blocker FROM ({_LIVE} AND (
    (l.classid::bigint IN ({NAME}, {REMAINS}) AND l.objid::bigint = (claim->>'name')::bigint)
    OR EXISTS (
      SELECT FROM jsonb_array_elements(claim->'fences') f
      WHERE l.classid::bigint = (f->>'class')::bigint AND l.objid::bigint <> (f->>'epoch')::bigint
    )
  )) live;
  IF blocker IS NOT NULL THEN
    PERFORM set_config('homeserver.answer', jsonb_build_object(
      'outcome', 'wait', 'pid', blocker, 'recorded', recorded, 'who', (
        SELECT a.application_name FROM pg_stat_activity a WHERE a.pid = blocker
      ))::text, false);
    RETURN;
  END IF;
  IF (claim->>'yields')::boolean THEN
    PERFORM set_config('homeserver.answer', jsonb_build_object(
      'outcome', 'free', 'begins', begins, 'recorded', recorded)::text, false);
    RETURN;
  END IF;
  IF NOT pg_try_advisory_lock({NAME}, (claim->>'name')::int)
    OR NOT pg_try_advisory_lock({HOLDER}, (claim->>'holder')::int) THEN
    RAISE EXCEPTION 'a lock that nobody holds could not be taken';
  END IF;
  -- At most an instant: who waited for an earlier backend of this number lets go at once.
  PERFORM pg_advisory_lock({SESSION}, pg_backend_pid());
  FOR wanted IN SELECT * FROM jsonb_array_elements(claim->'fences') LOOP
    PERFORM pg_advisory_lock_shared((wanted->>'class')::int, (wanted->>'epoch')::int);
    INSERT INTO homeserver_fences AS its
      VALUES (wanted->>'fence', (wanted->>'epoch')::bigint, wanted->>'content')
      ON CONFLICT ON CONSTRAINT homeserver_fences_pkey
      DO UPDATE SET epoch = excluded.epoch, content = excluded.content
      WHERE its.epoch < excluded.epoch;
    -- Nothing later was known, so this is the latest now.
    recorded := recorded || jsonb_build_object(wanted->>'fence', (wanted->>'epoch')::bigint);
  END LOOP;
  PERFORM set_config('homeserver.answer', jsonb_build_object(
    'outcome', 'entered', 'recorded', recorded)::text, false);
END
$enter$
"""  # noqa: S608 - numbers of this package, nothing of anybody's
"""All or nothing: entered, or holding nothing and told whom to wait for, or what came later. The
same epoch with another content counts as later: it was somebody else's, in a former life. In each
case it tells the highest epoch that each of the claimed fences ever had. Who yields is told that it
could enter, and does not."""

ADMIT = f"""
DO $admit$
DECLARE
  claim jsonb := current_setting('homeserver.claim')::jsonb;
  wanted jsonb;
BEGIN
  PERFORM pg_advisory_xact_lock_shared({GATE}, 0);
  -- Whoever has it to share has found that nobody has it alone, so that the lock session is gone.
  IF pg_try_advisory_lock_shared({HOLDER}, (claim->>'holder')::int) THEN
    PERFORM pg_advisory_unlock_shared({HOLDER}, (claim->>'holder')::int);
    PERFORM set_config('homeserver.answer', '{{"outcome": "lost"}}', false);
    RETURN;
  END IF;
  PERFORM pg_advisory_lock_shared({REMAINS}, (claim->>'name')::int);
  PERFORM pg_advisory_lock({SESSION}, pg_backend_pid());
  FOR wanted IN SELECT * FROM jsonb_array_elements(claim->'fences') LOOP
    PERFORM pg_advisory_lock_shared((wanted->>'class')::int, (wanted->>'epoch')::int);
  END LOOP;
  PERFORM set_config('homeserver.answer', '{{"outcome": "admitted"}}', false);
END
$admit$
"""  # noqa: S608 - as above
"""One more connection of a process whose lock session lives: it holds the same fences."""

AWAIT = f"SELECT pg_advisory_lock_shared({SESSION}, %s), pg_advisory_unlock_shared({SESSION}, %s)"
"""Returns when a backend has ended; it wakes all who wait for that one at once."""

SAY = "SELECT pg_advisory_lock_shared(%s, %s)"
UNSAY = "SELECT pg_advisory_unlock_shared(%s, %s)"

OFFER = """
INSERT INTO homeserver_successors VALUES (pg_backend_pid(), %s, %s, %s)
ON CONFLICT (pid) DO UPDATE
SET name = excluded.name, duties = excluded.duties, address = excluded.address
"""
"""Says where a process listens that waits and can answer what one that stops can. It holds while
that backend says NEXT; a later backend of the same number says its own before."""

CLEAR = """
DELETE FROM homeserver_successors WHERE pid IN (
  SELECT pid FROM homeserver_successors offered
  WHERE NOT EXISTS (SELECT FROM pg_stat_activity live WHERE live.pid = offered.pid)
  FOR UPDATE SKIP LOCKED
)
"""
"""Forgets what was said by those who are gone."""

ASK = f"""
WITH live AS MATERIALIZED (
  SELECT l.pid, l.classid::bigint AS kind, l.objid::bigint AS epoch FROM pg_locks l
  WHERE {_LIVE_ADVISORY}
), others AS (
  SELECT member.pid,
    EXISTS (SELECT FROM live said WHERE said.pid = member.pid AND said.kind = {BUSY}) AS busy,
    EXISTS (SELECT FROM live said WHERE said.pid = member.pid AND said.kind = {IDLE}) AS idle
  FROM live member JOIN live named USING (pid)
  WHERE member.kind = %(kind)s AND member.epoch = %(epoch)s AND named.kind = {NAME}
    AND pid <> pg_backend_pid()
), next AS (
  SELECT pid, epoch FROM live WHERE kind = {NEXT} AND (
    epoch = %(epoch)s OR epoch = (SELECT max(epoch) FROM live WHERE kind = {NEXT})
  )
), now AS (
  SELECT
    EXISTS (SELECT FROM next WHERE epoch > %(epoch)s) AS ends,
    NOT EXISTS (SELECT FROM others WHERE NOT busy AND NOT idle) AS told
), able AS (
  SELECT offered.address, cardinality(offered.duties) AS duties, next.epoch
  FROM homeserver_successors offered JOIN next USING (pid), now
  WHERE offered.duties @> %(duties)s::text[] AND CASE
    WHEN next.epoch > %(epoch)s THEN now.told
    ELSE offered.name = %(name)s AND NOT (now.ends AND now.told)
  END
)
SELECT (EXISTS (
  SELECT FROM live WHERE kind = {BUSY} AND epoch = %(epoch)s AND pid <> pg_backend_pid()
) OR (
  now.ends AND EXISTS (SELECT FROM others WHERE NOT idle)
  AND NOT EXISTS (SELECT FROM able WHERE epoch = %(epoch)s)
)), now.ends, ARRAY (
  SELECT address FROM able WHERE duties = (SELECT min(duties) FROM able) ORDER BY 1
) FROM now
"""  # noqa: S608 - as above
"""Whether another of the cohort drains and is busy; or, where a later epoch waits and all must go,
whether another has not yet drained or has not even been told to: but not if a namesake is about to
enter, because then who asks is replaced while the others go on.

Whether a later epoch waits at all.

And where those listen who wait and can answer all that who asks can; of them those who can do
little else. They are about to enter: a namesake, or a later epoch's once all of this one have been
told to stop. Until then they would keep clients waiting for as long as the others serve."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What a statement of the protocol came to.

    `outcome` is entered, wait, superseded, free, admitted or lost. `pid` and `who` name whom to
    wait for, `fence` and `epoch` what came later. `begins`: to enter would be a switch, as an
    earlier epoch was the latest so far. `recorded` has the highest epochs ever of the claimed
    fences that have any.
    """

    outcome: str
    pid: int = 0
    who: str | None = None
    fence: str | None = None
    epoch: int = 0
    begins: bool = False
    recorded: Mapping[str, int] = dataclasses.field(default_factory=dict)


def ask(
    connection: Any, statement: str, claim: Claim, holder: int, *, yields: bool = False
) -> Answer:
    """Runs ENTER or ADMIT on a connection in autocommit mode."""
    with connection.cursor() as cursor:
        document = json.dumps(claim.document(holder) | {"yields": yields})
        cursor.execute("SELECT set_config('homeserver.claim', %s, false)", (document,))
        cursor.execute(statement)
        cursor.execute("SELECT current_setting('homeserver.answer')")
        return Answer(**json.loads(cursor.fetchone()[0]))
