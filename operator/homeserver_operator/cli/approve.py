"""`kubectl homeserver approve`: writes the id of the plan that is held on its HomeServer.

That is the plan of an edit, or else that of an upgrade of the operator.

Only the plan that was shown is approved: the write is refused by the API server if anything of the
HomeServer has changed since it was read, and an approval of another plan is worth nothing.
"""

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from homeserver_operator.api.names import APPROVED_PLAN_ANNOTATION
from homeserver_operator.api.restarts import MANUAL, Phase, RestartPolicy, parse_restart_policy
from homeserver_operator.api.world import Object
from homeserver_operator.cli.access import Access, connect
from homeserver_operator.cli.output import CliError, document, say
from homeserver_operator.cli.waves import as_document, from_status, lines
from homeserver_operator.plan.consent import consent
from homeserver_operator.status.conditions import UP_TO_DATE
from homeserver_operator.transport import ApiError

_ATTEMPTS: Final = 5
"""The operator writes the status whenever pods change; that is no reason to give up."""

_CONFLICT: Final = 409


@dataclass(frozen=True)
class Approval:
    """A plan that waits for somebody, whether somebody has approved it, and what else it needs."""

    plan: Mapping[str, Any]
    given: bool
    policy: RestartPolicy


def run(options: argparse.Namespace) -> int:
    """Approve the plan that is held, and print it."""
    approval = asyncio.run(_approve(options))
    plan, waves = approval.plan, from_status(approval.plan)
    if options.output != "table":
        say(document({"plan": plan["id"], "waves": as_document(waves)}, options.output))
        return 0
    say("\n".join(lines(waves, plan.get("more", 0))) if waves else plan["because"])
    rest = consent(approval.policy, plan["id"], plan["id"], datetime.now(UTC))
    then = "" if rest.granted else f"; {rest.because}"
    say(f"\nplan {plan['id']} {'was approved already' if approval.given else 'is approved'}{then}")
    return 0


async def _approve(options: argparse.Namespace) -> Approval:
    name, wanted = options.name, options.plan
    async with connect(options) as access:
        for _ in range(_ATTEMPTS):
            body = await access.homeserver(name)
            approval = waiting(body, wanted)
            # What was looked at first is what is approved, however often it takes.
            wanted = approval.plan["id"]
            if approval.given or await _write(access, body, wanted):
                return approval
    raise CliError(f"HomeServer {name} changes all the time: try again in a moment")


async def _write(access: Access, body: Object, plan: str) -> bool:
    """Write the approval; False if the HomeServer has changed since it was read."""
    try:
        await access.annotate(body, {APPROVED_PLAN_ANNOTATION: plan})
    except ApiError as error:
        if error.status == _CONFLICT:
            return False
        raise CliError(f"HomeServer {body['metadata']['name']}: {error}") from None
    return True


def waiting(body: Object, wanted: str | None) -> Approval:
    """The plan that waits for approval; raises CliError if there is none, or not the wanted one."""
    metadata, status = body["metadata"], body.get("status", {})
    name, plan = metadata["name"], status.get("plan")
    if status.get("observedGeneration") != metadata.get("generation"):
        raise CliError(
            f"the operator has not looked at the latest change of HomeServer {name} yet: try again "
            "in a moment"
        )
    policy = parse_restart_policy(body["spec"].get("restartPolicy", {}))
    upgrade = _upgrade(status)
    plan = plan or upgrade
    if not plan:
        raise CliError(f"nothing to approve: HomeServer {name} has no restarts planned")
    if wanted and plan["id"] != wanted:
        raise CliError(
            f"plan {wanted} is no longer what HomeServer {name} waits with, but {plan['id']}: look "
            f"at it with `kubectl homeserver status {name}`, and approve that"
        )
    if plan["phase"] != Phase.HELD:
        raise CliError(f"nothing to approve: plan {plan['id']} is {plan['phase']} already")
    if policy.approval != MANUAL and plan is not upgrade:
        raise CliError(
            f"plan {plan['id']} needs no approval, because spec.restartPolicy.approval is not "
            f"{MANUAL}; it is held: {plan.get('because', 'no reason is given')}"
        )
    given = metadata.get("annotations", {}).get(APPROVED_PLAN_ANNOTATION) == plan["id"]
    return Approval(plan, given, policy)


def _upgrade(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The plan of an upgrade of the operator that waits, in the form of a plan that is held."""
    found = status.get("release", {}).get("plan")
    told = {each["type"]: each for each in status.get("conditions", ())}.get(UP_TO_DATE, {})
    return {"id": found, "phase": Phase.HELD, "because": told.get("message")} if found else None
