"""What holds for the tests of every part."""

import pytest
from hypothesis import settings

# What assertions say is worth as much where tests share them.
pytest.register_assert_rewrite("e2e", "tests")

# How long an example takes says more of the machine than of the code; benchmarks are for that.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
