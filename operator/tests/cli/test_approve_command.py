"""`kubectl homeserver approve`."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.core.worlds import usual
from tests.shell.fake_api import FakeApi

from homeserver_operator.api.names import APPROVED_PLAN_ANNOTATION
from homeserver_operator.cli.__main__ import main
from homeserver_operator.cli.access import Access

NAME = usual()["metadata"]["name"]
PLAN = {
    "id": "0123456789",
    "phase": "Held",
    "because": "it waits",
    "waves": [
        {"restarts": [{"process": "sync", "because": "its log level changes"}]},
        {"restarts": [{"process": "main", "because": "an option of main changes"}]},
    ],
}


async def put(
    api: FakeApi, plan: dict[str, Any] | None = PLAN, observed: int | None = None, **policy: Any
) -> None:
    """A HomeServer with that plan in its status."""
    body = usual()
    body["metadata"]["annotations"] = {"kept": "as it was"}
    body["spec"]["restartPolicy"] = {"approval": "Manual"} | policy
    stored = await api.put(body)
    generation = stored["metadata"]["generation"]
    stored["status"] = {"observedGeneration": generation if observed is None else observed} | (
        {"plan": plan} if plan else {}
    )


def annotations(api: FakeApi) -> dict[str, str]:
    found = api.find("HomeServer", NAME)
    assert found is not None
    return dict(found["metadata"]["annotations"])


async def approve(kubeconfig: Path, *more: str) -> int:
    return await asyncio.to_thread(main, ["approve", NAME, "--kubeconfig", str(kubeconfig), *more])


@pytest.mark.parametrize(
    "more", [[], ["--plan", PLAN["id"]]], ids=["the plan that is held", "one by its id"]
)
async def test_it_shows_the_plan_and_approves_it(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    await put(api)
    assert await approve(kubeconfig, *more) == 0
    page = capsys.readouterr().out.splitlines()
    assert page[1].split(maxsplit=2) == ["1", "sync", "its log level changes"]
    assert page[2].split(maxsplit=2) == ["2", "main", "an option of main changes"]
    assert page[-1] == "plan 0123456789 is approved"
    assert annotations(api) == {"kept": "as it was", APPROVED_PLAN_ANNOTATION: PLAN["id"]}


async def test_it_writes_one_annotation_of_what_it_has_read(api: FakeApi, kubeconfig: Path) -> None:
    await put(api)
    found = api.find("HomeServer", NAME)
    assert found is not None
    assert await approve(kubeconfig) == 0
    ((method, path),) = api.writes()
    assert method == "PATCH"
    assert path.endswith(f"/homeservers/{NAME}?fieldManager=kubectl-homeserver")
    (body,) = filter(None, api.bodies)
    metadata = {key: found["metadata"][key] for key in ("uid", "resourceVersion")}
    approval = {APPROVED_PLAN_ANNOTATION: PLAN["id"]}
    assert body == {"metadata": metadata | {"annotations": approval}}


async def test_for_programs(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api)
    assert await approve(kubeconfig, "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"plan": PLAN["id"], "waves": PLAN["waves"]}


async def test_it_says_what_else_the_plan_waits_for(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api, maintenanceWindows=[{"start": elsewhere(), "duration": "15m"}])
    assert await approve(kubeconfig) == 0
    assert "is approved; the next maintenance window opens at " in capsys.readouterr().out


def elsewhere() -> str:
    """A time of day that is half a day away from now."""
    return (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M")


async def test_a_second_approval_writes_nothing(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api)
    assert [await approve(kubeconfig), await approve(kubeconfig)] == [0, 0]
    assert "plan 0123456789 was approved already" in capsys.readouterr().out
    assert len(api.writes()) == 1


async def test_it_tries_again_when_the_status_was_written_in_between(
    api: FakeApi, kubeconfig: Path
) -> None:
    await put(api)
    api.fail("PATCH", "homeservers", 409, body={"reason": "Conflict"}, times=2)
    assert await approve(kubeconfig) == 0
    assert annotations(api)[APPROVED_PLAN_ANNOTATION] == PLAN["id"]


async def test_it_gives_up_when_that_never_ends(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api)
    api.fail("PATCH", "homeservers", 409, body={"reason": "Conflict"}, times=99)
    assert await approve(kubeconfig) == 2
    assert "try again in a moment" in capsys.readouterr().err


async def test_a_plan_that_changes_meanwhile_is_not_approved(
    api: FakeApi,
    kubeconfig: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(api)
    found = api.find("HomeServer", NAME)
    assert found is not None
    annotate = Access.annotate

    async def too_late(access: Access, *arguments: Any) -> None:
        found["metadata"]["resourceVersion"] = "999"
        found["status"]["plan"] = {**PLAN, "id": "another"}
        await annotate(access, *arguments)

    monkeypatch.setattr(Access, "annotate", too_late)
    assert await approve(kubeconfig) == 2
    assert "plan 0123456789 is no longer what" in capsys.readouterr().err
    assert len(api.writes()) == 1
    assert APPROVED_PLAN_ANNOTATION not in annotations(api)


UPGRADE = {
    "release": {"rendering": 2, "image": "synapse:8", "plan": "abcdef0123"},
    "conditions": [{"type": "UpToDate", "status": "False", "message": "an upgrade waits"}],
}


@pytest.mark.parametrize("approval", ["Automatic", "Manual"])
async def test_it_approves_an_upgrade_that_waits_whatever_the_policy(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str], approval: str
) -> None:
    await put(api, None, approval=approval)
    found = api.find("HomeServer", NAME)
    assert found is not None
    found["status"] |= UPGRADE
    assert await approve(kubeconfig) == 0
    assert capsys.readouterr().out == "an upgrade waits\n\nplan abcdef0123 is approved\n"
    assert annotations(api)[APPROVED_PLAN_ANNOTATION] == "abcdef0123"


async def test_the_plan_of_an_edit_goes_before_that_of_an_upgrade(
    api: FakeApi, kubeconfig: Path
) -> None:
    await put(api)
    found = api.find("HomeServer", NAME)
    assert found is not None
    found["status"] |= UPGRADE
    assert await approve(kubeconfig) == 0
    assert annotations(api)[APPROVED_PLAN_ANNOTATION] == PLAN["id"]


REFUSALS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "nothing is planned": ({"plan": None}, [], "has no restarts planned"),
    "the plan is under way": (
        {"plan": {**PLAN, "phase": "Warming"}}, [], "plan 0123456789 is Warming already"),
    "another plan is held": (
        {}, ["--plan", "older"], "plan older is no longer what HomeServer rosebud waits with"),
    "the operator has not seen the latest edit": (
        {"observed": 0}, [], "has not looked at the latest change of HomeServer rosebud"),
    "the policy asks for no approval": (
        {"approval": "Automatic"}, [], "approval is not Manual; it is held: it waits"),
}  # fmt: skip


@pytest.mark.parametrize("title", REFUSALS)
async def test_there_is_nothing_to_approve(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str], title: str
) -> None:
    fields, more, words = REFUSALS[title]
    await put(api, **fields)
    assert await approve(kubeconfig, *more) == 2
    assert words in capsys.readouterr().err
    assert api.writes() == []


async def test_who_may_not_write_is_told_so(
    api: FakeApi, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(api)
    api.fail("PATCH", "homeservers", 403, body={"reason": "Forbidden", "message": "not for you"})
    assert await approve(kubeconfig) == 2
    assert "HomeServer rosebud: not for you" in capsys.readouterr().err
