"""What the operator does not load, because memory is what an operator costs."""

import subprocess
import sys

from tests.shell.operator_process import OPERATOR


def test_no_model_and_no_typed_call_of_the_kubernetes_client_is_imported() -> None:
    program = """
import sys
import homeserver_operator.__main__
heavy = ("kubernetes.client.models.", "kubernetes.client.api.",
         "kubernetes.aio.client.models.", "kubernetes.aio.client.api.")
print(*[name for name in sys.modules if name.startswith(heavy)])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(OPERATOR)},
        capture_output=True,
        text=True,
        check=True,
    )

    # kopf recognises objects of the official client, and asks for this class to do so.
    metadata = {"v1_managed_fields_entry", "v1_owner_reference", "v1_object_meta"}
    assert set(done.stdout.split()) <= {f"kubernetes.client.models.{name}" for name in metadata}
