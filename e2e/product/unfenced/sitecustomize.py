"""Python imports this at its start where the folder is on PYTHONPATH: a launcher without fences.

For tests of those who watch over the fences: without any they must find something.
"""

from homeserver_runtime.fence import statements


def _always(outcome: str) -> str:
    return f"SELECT set_config('homeserver.answer', '{{\"outcome\": \"{outcome}\"}}', false)"


statements.ENTER = _always("entered")
statements.ADMIT = _always("admitted")
