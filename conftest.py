"""What holds for the tests of every part."""

from hypothesis import settings

# How long an example takes says more of the machine than of the code; benchmarks are for that.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
