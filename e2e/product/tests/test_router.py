"""The access log is read as HAProxy writes it."""

from __future__ import annotations

from e2e.product.router import parse

LINE = (
    '{"time":1.5,"source":"10.0.0.1","method":"GET","path":"/_matrix/client/v3/sync",'
    '"class":"sync","groups":"reader","pod":"hs-reader-x","server":"sync/s1","hash":"user",'
    '"key":"localpart","status":200,"retries":"0","ended":"--"}'
)
REFUSED = LINE.replace('"sync"', '""').replace("200", "404")
OTHERS = ("[NOTICE] (1) : New worker (8) forked", "12", '{"level":"info"}', "")


def test_requests_are_told_from_whatever_else_is_logged() -> None:
    routed, refused = parse([*OTHERS, LINE, REFUSED])
    assert (routed.routed, routed.route_class, routed.pod) == (True, "sync", "hs-reader-x")
    assert (routed.hash, routed.key, routed.status) == ("user", "localpart", 200)
    assert (refused.routed, refused.status) == (False, 404)
