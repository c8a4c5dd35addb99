"""For all tests."""

from hypothesis import settings

# An example takes as long as the machine lets it: a busy machine is no failure.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
