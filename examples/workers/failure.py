"""How a handler says that its step did not work out."""


class Failure(Exception):
    """A failure with what the orchestrator may want to know about it.

    retryable    False: trying again cannot help, the step ends in `error`
    status_code  the HTTP status behind it, if there was one
    headers      the HTTP headers that came with it; `retry-after` decides when the next attempt comes
    """

    def __init__(self, message, *, retryable=True, status_code=None, headers=None):
        super().__init__(message)
        self.retryable = retryable
        self.status_code = status_code
        self.headers = headers


def error_of(exception):
    """The `error` object of a result. What is no Failure is a bug or an outage: worth another attempt."""
    return {
        "message": str(exception) or type(exception).__name__,
        "error_type": type(exception).__name__,
        "retryable": getattr(exception, "retryable", True),
        "status_code": getattr(exception, "status_code", None),
    }


def metadata_of(exception):
    """The `orchestration_metadata` object of a result: what a server said about the next attempt."""
    headers = getattr(exception, "headers", None)
    return {"headers": headers} if headers else None
