"""Errors that a caller sees, and the one place that turns any exception into an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.core.exceptions import (
    BadRequest as DjangoBadRequest,
)
from django.core.exceptions import (
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import (
    ValidationError as DjangoValidationError,
)
from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions as drf

from cloudpos.api import availability
from cloudpos.api.encoding import encode

logger = logging.getLogger("cloudpos.api")

RETRY_AFTER_SECONDS = 2
ERRORS_MAX = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `field` is its path as the caller wrote it, None for the whole body."""

    field: str | None
    message: str
    code: str = "invalid"


class ApiError(Exception):
    """Base of every error meant for the caller. Domain errors subclass one of the statuses below.

    `extra` is merged into the error body (facts a client can act on: `{"balance": 5}`).
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    message: ClassVar[str] = "Something went wrong."
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        code: str | None = None,
        errors: Iterable[FieldError] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.detail = message or self.message
        self.error_code = code or self.code
        self.errors = list(errors or ())
        if field is not None:
            self.errors.append(FieldError(field, self.detail, self.error_code))
        self.extra = dict(extra or {})
        super().__init__(self.detail)


class BadRequest(ApiError):
    code = "validation_error"
    status = 400
    message = "Please correct the marked fields."


class MalformedJson(BadRequest):
    code = "malformed_json"
    message = "The body is not valid JSON."


class Unauthenticated(ApiError):
    code = "not_authenticated"
    status = 401
    message = "Please log in."
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="api"'}


class Forbidden(ApiError):
    code = "forbidden"
    status = 403
    message = "You may not do this."


class NotFound(ApiError):
    code = "not_found"
    status = 404
    message = "Not found."


class NotAcceptable(ApiError):
    code = "not_acceptable"
    status = 406
    message = "This service answers in JSON only."


class RequestTimeout(ApiError):
    code = "request_timeout"
    status = 408
    message = "The body did not arrive in time."


class Conflict(ApiError):
    code = "conflict"
    status = 409
    message = "This conflicts with the current state."


class LengthRequired(ApiError):
    code = "length_required"
    status = 411
    message = "Send the body with a Content-Length."


class PreconditionFailed(ApiError):
    code = "precondition_failed"
    status = 412
    message = "Somebody changed this in the meantime. Fetch it again."


class TooLarge(ApiError):
    code = "too_large"
    status = 413
    message = "The body is too large."


class UnsupportedMediaType(ApiError):
    code = "unsupported_media_type"
    status = 415
    message = "Send JSON with Content-Type: application/json."


class Unprocessable(ApiError):
    code = "unprocessable"
    status = 422
    message = "This request cannot be processed."


class TooManyRequests(ApiError):
    code = "rate_limited"
    status = 429
    message = "Too many requests. Please slow down."


class Unavailable(ApiError):
    code = "unavailable"
    status = 503
    message = "The service is busy. Please try again in a moment."
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": str(RETRY_AFTER_SECONDS)}


@dataclass(slots=True)
class Problem:
    """An error, ready to be rendered."""

    status: int
    code: str
    message: str
    errors: list[FieldError] = field(default_factory=list)
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


_CODES_BY_STATUS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    411: "length_required",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "rate_limited",
    431: "headers_too_large",
    503: "unavailable",
}
_MESSAGES_BY_STATUS = {
    400: "The request is not valid.",
    403: "You may not do this.",
    404: "Not found.",
    405: "This method is not allowed here.",
    413: "The body is too large.",
    503: Unavailable.message,
}
INTERNAL = Problem(500, "internal_error", "Something went wrong on our side. It has been logged.")

# What PostgreSQL says, by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_RETRYABLE_STATES = {
    "40001": "serialization_failure",
    "40P01": "deadlock_detected",
    "55P03": "lock_not_available",
    "57014": "query_canceled",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
}
_CONFLICT_STATES = {"23503", "23505", "23P01"}


def flatten(detail: Any, path: str = "") -> Iterator[FieldError]:
    """DRF's nested error detail as flat paths: {"address": {"postalCode": [..]}} -> address.postalCode."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            if key == "non_field_errors":
                yield from flatten(value, path)
            else:
                yield from flatten(value, f"{path}.{key}" if path else str(key))
    elif isinstance(detail, list | tuple):
        for index, value in enumerate(detail):
            if isinstance(value, Mapping | list | tuple):
                # A list of rows: each row's errors stand at the row's place; rows without any are {}.
                yield from flatten(value, f"{path}.{index}" if path else str(index))
            else:
                yield from flatten(value, path)
    else:
        yield FieldError(path or None, str(detail), str(getattr(detail, "code", None) or "invalid"))


def _validation_problem(errors: Iterable[FieldError]) -> Problem:
    found = list(errors)[:ERRORS_MAX]
    message = found[0].message if len(found) == 1 and found[0].field is None else BadRequest.message
    return Problem(400, "validation_error", message, found)


def _sqlstate(exc: BaseException) -> str:
    cause = exc.__cause__ or exc
    return str(getattr(cause, "sqlstate", None) or "")


def _database_problem(exc: Error) -> Problem:
    state = _sqlstate(exc)
    availability.database.saw(exc)
    # Never the text of the error: PostgreSQL quotes the values of the row in it.
    if state in _RETRYABLE_STATES or isinstance(exc, OperationalError | InterfaceError):
        logger.warning("database_unavailable", extra={"sqlstate": state, "error": type(exc).__name__})
        return Problem(503, Unavailable.code, Unavailable.message, headers=Unavailable.headers)
    if isinstance(exc, IntegrityError) and state in _CONFLICT_STATES:
        constraint = getattr(getattr(exc.__cause__, "diag", None), "constraint_name", "")
        logger.warning("constraint_conflict", extra={"sqlstate": state, "constraint": constraint})
        return Problem(409, Conflict.code, "This conflicts with what is already there.")
    if isinstance(exc, DataError):
        logger.error("data_error", extra={"sqlstate": state}, exc_info=exc)
        return Problem(400, "validation_error", "A value is out of range.")
    logger.error("database_error", extra={"sqlstate": state}, exc_info=exc)
    return INTERNAL


def _drf_problem(exc: drf.APIException) -> Problem:
    if isinstance(exc, drf.ValidationError):
        return _validation_problem(flatten(exc.detail))
    if isinstance(exc, drf.NotAuthenticated | drf.AuthenticationFailed):
        code = getattr(exc.detail, "code", None)
        detail: Any = exc.detail
        if isinstance(detail, Mapping):
            # simplejwt raises {"detail": ..., "code": ...}
            code, detail = str(detail.get("code", "not_authenticated")), detail.get("detail", "")
        return Problem(401, code or "not_authenticated", str(detail), headers=Unauthenticated.headers)
    status = exc.status_code
    code = _CODES_BY_STATUS.get(status, "error")
    headers: dict[str, str] = {}
    if isinstance(exc, drf.ParseError):
        code = MalformedJson.code
    wait = getattr(exc, "wait", None)
    if isinstance(exc, drf.Throttled) and wait is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    message = "; ".join(error.message for error in flatten(exc.detail)) or _MESSAGES_BY_STATUS.get(status, "")
    return Problem(status, code, message, headers=headers)


def describe(exc: BaseException) -> Problem:
    """What to tell the caller about `exc`. Anything unknown is a 500 and is logged with its traceback."""
    if isinstance(exc, ApiError):
        if exc.status >= 500 and not isinstance(exc, Unavailable):
            logger.error("api_error", exc_info=exc)
        return Problem(exc.status, exc.error_code, exc.detail, exc.errors, exc.extra, exc.headers)
    if isinstance(exc, drf.APIException):
        return _drf_problem(exc)
    if isinstance(exc, Http404 | ObjectDoesNotExist):
        return Problem(404, NotFound.code, NotFound.message)
    if isinstance(exc, PermissionDenied):
        return Problem(403, Forbidden.code, Forbidden.message)
    if isinstance(exc, RequestDataTooBig):
        return Problem(413, TooLarge.code, TooLarge.message)
    if isinstance(exc, UnreadablePostError):
        return Problem(400, "unreadable_body", "The body did not arrive.")
    if isinstance(exc, SuspiciousOperation | DjangoBadRequest):
        return Problem(400, "bad_request", "The request is not valid.")
    if isinstance(exc, DjangoValidationError):
        if hasattr(exc, "error_dict"):
            detail: Any = {name: _messages(errors) for name, errors in exc.error_dict.items()}
        else:
            detail = _messages(exc.error_list)
        return _validation_problem(flatten(detail))
    if isinstance(exc, Error):
        return _database_problem(exc)
    logger.error("unhandled_exception", exc_info=exc)
    return INTERNAL


def _messages(errors: Iterable[DjangoValidationError]) -> list[drf.ErrorDetail]:
    return [drf.ErrorDetail(error.messages[0], code=error.code or "invalid") for error in errors]


def problem_response(problem: Problem, request_id: str) -> HttpResponse:
    """The error envelope. Extra facts never override the envelope's own keys."""
    body = {
        **problem.extra,
        "success": False,
        "message": problem.message,
        "errors": problem.errors,
        "code": problem.code,
        "requestId": request_id,
    }
    response = HttpResponse(encode(body), status=problem.status, content_type="application/json")
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response


def _request_id(request: Any) -> str:
    return str(getattr(request, "request_id", ""))


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's hook: every exception of every view comes here."""
    return problem_response(describe(exc), _request_id(context.get("request")))


def status_response(request: HttpRequest, status: int) -> HttpResponse:
    """An envelope for an answer that Django made itself and that has a status only."""
    if status >= 500 and status != 503:
        problem = INTERNAL
    else:
        code = _CODES_BY_STATUS.get(status, "error")
        headers = Unavailable.headers if status == 503 else {}
        problem = Problem(
            status, code, _MESSAGES_BY_STATUS.get(status, "The request failed."), headers=headers
        )
    return problem_response(problem, _request_id(request))
