from pathlib import Path

from e2e.cluster import audit


def test_an_entry_that_is_still_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text('{"verb": "get"}\n{"verb": "cre')
    assert list(audit.entries(log)) == [{"verb": "get"}]
    with log.open("a") as more:
        more.write('ate"}\n')
    assert list(audit.entries(log)) == [{"verb": "get"}, {"verb": "create"}]


def test_what_stands_before_the_offset_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text('{"verb": "get"}\n')
    start = log.stat().st_size
    with log.open("a") as more:
        more.write('{"verb": "list"}\n')
    assert list(audit.entries(log, start)) == [{"verb": "list"}]
