"""Laws are tried without a limit of time: the machines that try them differ."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
