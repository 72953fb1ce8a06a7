"""What connections are called fits PostgreSQL's 63 bytes, and can be read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver_runtime.label import LONGEST, Label, label, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

SIX = {
    "topology": 3, "federation": 1, "push": 1,
    "backgroundTasks": 1, "userDirectory": 1, "appservices": 1,
}  # fmt: skip
LONGEST_NAME = "a-group-of-20-letter-23"
GROUP_POD = "a-homeserver-of-30-letters-abc-a-group-of-20-letter-7d9f4-x2x4z"


@pytest.mark.parametrize(
    ("name", "epochs", "pod", "text"),
    [
        pytest.param(
            "main",
            SIX,
            "example-main-7d9f4c8b6d-x2x4z",
            "main t3 f1 p1 b1 u1 a1 7d9f4c8b6d-x2x4z",
            id="main holds all fences",
        ),
        pytest.param("sync-0", {}, None, "sync-0", id="a process without fences, outside a pod"),
        pytest.param("main", {"topology": 3}, "pod", "main t3 -pod", id="a pod of one word"),
        pytest.param(
            "main", {"topology": 3}, "main", "main t3", id="a pod that is called as its process"
        ),
        pytest.param(
            "example-rooms-7d9f4c8b6d-x2x4z",
            {"topology": 12},
            "example-rooms-7d9f4c8b6d-x2x4z",
            "example-rooms-7d9f4c8b6d-x2x4z t12",
            id="a group of n: the process is called as its pod",
        ),
        pytest.param(
            LONGEST_NAME,
            dict.fromkeys(SIX, 12),
            "example-main-7d9f4c8b6d-x2x4z",
            "a-group-of-20-letter-23 t12 f12 p12 b12 u12 a12 -x2x4z",
            id="no room for all of the pod: its own part stays",
        ),
        pytest.param(
            LONGEST_NAME,
            dict.fromkeys(SIX, 12345),
            "example-main-7d9f4c8b6d-x2x4z",
            "~roup-of-20-letter-23 t12345 f12345 p12345 b12345 u12345 a12345",
            id="no room for the name: its end stays, all epochs do",
        ),
        pytest.param(
            GROUP_POD,
            {"topology": 3},
            GROUP_POD,
            "~meserver-of-30-letters-abc-a-group-of-20-letter-7d9f4-x2x4z t3",
            id="a pod's longest name, of which the end is its own",
        ),
        pytest.param(
            "main", {"topology": 3, "other": 7}, None, "main t3 other:7", id="an unknown fence"
        ),
    ],
)
def test_a_label(name: str, epochs: Mapping[str, int], pod: str | None, text: str) -> None:
    assert label(name, epochs, pod) == text
    assert len(text) <= LONGEST
    assert parse(text).epochs == epochs


words = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
names = st.lists(words, min_size=1, max_size=3).map("-".join)
epochs = st.dictionaries(st.sampled_from(sorted(SIX)), st.integers(1, 999))


@given(name=names, epochs=epochs, pod=st.none() | st.lists(words, min_size=3).map("-".join))
def test_a_label_can_be_read_back_and_always_fits(
    name: str, epochs: dict[str, int], pod: str | None
) -> None:
    text = label(name, epochs, pod)
    assert len(text) <= LONGEST
    read = parse(text)
    assert read == Label(name=name, epochs=epochs, pod=read.pod)
    assert read.pod is None or (pod is not None and pod.endswith(read.pod))
