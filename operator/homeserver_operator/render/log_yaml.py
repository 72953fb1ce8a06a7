"""Synapse's logging configuration: one JSON object a line to standard output."""


def render_log(level: str) -> dict[str, object]:
    """The dictConfig of Python's logging. `level` holds for Synapse and everything under it."""
    return {
        "version": 1,
        "formatters": {"json": {"class": "synapse.logging.TerseJsonFormatter"}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stdout",
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
        # Its DEBUG level prints SQL with everything that it binds, passwords' hashes included.
        "loggers": {"synapse.storage.SQL": {"level": "INFO"}},
        "disable_existing_loggers": False,
    }
