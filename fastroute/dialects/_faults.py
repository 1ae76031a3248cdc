"""The two ways a translation refuses a request. What providers say when they fail is in `openai_faults`."""

from fastroute.core.failures import Failure, Fault, FaultError


def unsupported(param: str, message: str) -> FaultError:
    """To raise where a dialect cannot say what the request asks: another endpoint may. `message` must not carry credentials."""
    return FaultError(Fault(Failure.UNSUPPORTED, message, param=param))


def bad_request(param: str, message: str) -> FaultError:
    """To raise where the request is wrong in itself: no endpoint could serve it."""
    return FaultError(Fault(Failure.BAD_REQUEST, message, param=param))
