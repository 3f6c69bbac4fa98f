"""Every error this project raises on purpose, in one tree, on one page.

Facts about an error are data on its class, read in one place each: the API renders `code`,
`status` and `title`; the retry policy reads `retryable`; the ledger reads `billed`.

    LLMJobsError
    ├── ConfigurationError            a setting is wrong: the start stops
    ├── RequestError                  the caller can mend it (4xx)
    │   ├── InvalidRequest 400        ├── MissingParameter  ├── InvalidParameter ─┬ InvalidFormat
    │   │                             ├── UnknownParameter  │                     └ InvalidContext
    │   │                             └── UnsupportedModel
    │   ├── Unauthenticated 401       ├── AllowanceUsedUp 402   ├── Forbidden 403
    │   ├── NotFound 404              ├── Conflict 409 ── TurnInProgress
    │   ├── PayloadTooLarge 413
    │   ├── UnsupportedMediaType 415  ├── Unprocessable 422 ─┬ TemplateSyntaxError
    │   │                             │                      ├ MissingVariables
    │   │                             │                      ├ IdempotencyMismatch
    │   │                             │                      ├ FileUnreadable
    │   │                             │                      └ PromptRefused
    │   │                             │                          ├ PromptTemplateInvalid
    │   │                             │                          ├ PromptParameterInvalid
    │   │                             │                          └ EndpointUnknown
    │   └── TooManyRequests 429
    ├── Unavailable 503               a part we stand on is away
    └── CallError                     one call to a model gave no usable answer
        ├── ConnectionFailed, CallTimeout, ProviderFailed,
        │   ProviderOverloaded, InvalidResponse, ContextUnavailable (retried)
        ├── ProviderRateLimited                                    (waits, costs no try)
        ├── QuotaExhausted, ProviderRejected, ProviderDenied, ModelNotFound,
        │   ContextTooLong, Refused, OutputTruncated, OutputInvalid, RedirectRefused,
        │   InferenceFailed                                        (final)
        └── CallCancelled                                          (stopped by its owner)
"""

from __future__ import annotations

from typing import Any, ClassVar


class LLMJobsError(Exception):
    """Base of the tree.

    `code` is the stable word clients and rows carry; `status` the HTTP status if the error reaches
    a client; `title` the short name of the class of error; `retryable` whether the same act may
    succeed later unchanged.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or self.title)
        self.message = message or self.title
        self.details = details


class ConfigurationError(LLMJobsError):
    """A setting or a combination of settings cannot work; says which values would."""

    code = "configuration"
    title = "Configuration error"


# --- what a caller can mend ---------------------------------------------------------------------


class RequestError(LLMJobsError):
    """A request that cannot be served as sent. `pointer` is the JSON pointer of the culprit."""

    code = "bad_request"
    status = 400
    title = "Bad request"

    def __init__(self, message: str = "", *, pointer: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.pointer = pointer


class InvalidRequest(RequestError):
    code = "invalid_request"
    title = "Invalid request"


class MissingParameter(InvalidRequest):
    code = "missing_parameter"
    title = "Missing required parameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"Missing required parameter: {name}", pointer=f"/{name}")


class InvalidParameter(InvalidRequest):
    code = "invalid_parameter"
    title = "Invalid parameter"


class InvalidFormat(InvalidParameter):
    """The output format asked for is none of ours; the sentence is the seed's."""

    code = "invalid_format"
    title = "Invalid format"

    def __init__(self) -> None:
        super().__init__(
            "Invalid format. Must be one of: text, json, markdown, html", pointer="/format"
        )


class InvalidContext(InvalidParameter):
    """The context is not an object of variables; the sentence is the seed's."""

    code = "invalid_context"
    title = "Invalid context"

    def __init__(self) -> None:
        super().__init__("Context must be a hash/object", pointer="/context")


class UnknownParameter(InvalidRequest):
    code = "unknown_parameter"
    title = "Unknown parameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown parameter: {name}", pointer=f"/{name}")


class UnsupportedModel(InvalidRequest):
    """No provider serves this model. `hint` says what would make it work, if anything."""

    code = "unsupported_model"
    title = "Unsupported model"

    def __init__(self, model: str, hint: str = "") -> None:
        super().__init__(
            f"Unsupported model: {model}" + (f" ({hint})" if hint else ""), pointer="/model"
        )
        self.model = model


class Unauthenticated(RequestError):
    code = "unauthenticated"
    status = 401
    title = "Missing or invalid API key"


class AllowanceUsedUp(RequestError):
    code = "allowance_used_up"
    status = 402
    title = "Token allowance used up"


class Forbidden(RequestError):
    code = "forbidden"
    status = 403
    title = "Forbidden"


class NotFound(RequestError):
    """Unknown, or another tenant's: the two are not told apart."""

    code = "not_found"
    status = 404
    title = "Not found"


class AssetNotFound(NotFound):
    """No such asset, or none for this caller."""

    code = "asset_not_found"
    title = "Asset not found"


class Conflict(RequestError):
    code = "conflict"
    status = 409
    title = "Conflict"


class TurnInProgress(Conflict):
    """A chat has one turn at a time; its answer is still being written."""

    code = "turn_in_progress"
    title = "A turn is in progress"


class PayloadTooLarge(RequestError):
    code = "payload_too_large"
    status = 413
    title = "Request body too large"


class UnsupportedMediaType(RequestError):
    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class Unprocessable(RequestError):
    code = "unprocessable"
    status = 422
    title = "Unprocessable request"


class TemplateSyntaxError(Unprocessable):
    """A template that cannot be parsed, such as one with an unclosed tag."""

    code = "template_syntax"
    title = "Invalid template"


class MissingVariables(Unprocessable):
    """Names every missing variable at once, in the order of the template."""

    code = "missing_variables"
    title = "Missing required variables"

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"Missing required variables: {', '.join(names)}", pointer="/context", variables=names
        )
        self.names = names


class IdempotencyMismatch(Unprocessable):
    code = "idempotency_mismatch"
    title = "Idempotency-Key was used with another request"


class FileUnreadable(Unprocessable):
    """A file whose text cannot be had: encrypted, broken, empty, too large, of another kind."""

    code = "file_unreadable"
    title = "The file cannot be read"


class PromptRefused(Unprocessable):
    """A prompt definition that cannot be run. The codes below it are those of Imixs-AI."""

    code = "PROMPT_ERROR"
    title = "Prompt error"


class PromptTemplateInvalid(PromptRefused):
    """A definition or one of its tags that cannot be read; details give `line` and `column`."""

    code = "ERROR_LLM_PROMPT_TEMPLATE"
    title = "Invalid prompt definition"


class PromptParameterInvalid(PromptRefused):
    """A word of a definition that is none of those allowed, such as a role."""

    code = "ERROR_INVALID_PARAMETER"
    title = "Invalid parameter of a prompt definition"


class EndpointUnknown(PromptRefused):
    """A definition that names an endpoint nobody registered here."""

    code = "ERROR_LLM_API"
    title = "Unknown endpoint"


class TooManyRequests(RequestError):
    """Over a limit. `retry_after_seconds` says when the next request fits."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"
    retryable = True

    def __init__(self, message: str = "", *, retry_after_seconds: float, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(LLMJobsError):
    """A part we stand on (the database) is away; the request changed nothing."""

    code = "unavailable"
    status = 503
    title = "Service unavailable"
    retryable = True


# --- what a call to a model can end with ---------------------------------------------------------


class CallError(LLMJobsError):
    """One call to a provider that gave no usable answer.

    `retry_after_seconds` is a floor for the next try, as the provider sent it; `billed` is what the
    call may have cost us: False (surely nothing), True (surely something), None (unknown);
    `http_status` and `request_id` are the provider's; `usage` (`providers.contract.Usage`) and
    `text` are what arrived before the end, for the ledger only.
    """

    code = "provider_error"
    title = "The provider call failed"
    status = 502

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_seconds: float | None = None,
        billed: bool | None = False,
        http_status: int | None = None,
        request_id: str | None = None,
        usage: Any = None,
        text: str = "",
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.retry_after_seconds = retry_after_seconds
        self.billed = billed
        self.http_status = http_status
        self.request_id = request_id
        self.usage = usage
        self.text = text


class ConnectionFailed(CallError):
    code = "connection_failed"
    title = "The provider could not be reached"
    retryable = True


class CallTimeout(CallError):
    code = "timeout"
    title = "The provider did not answer in time"
    retryable = True


class ProviderFailed(CallError):
    """5xx, 408, 409 and errors the provider calls its own."""

    code = "provider_failed"
    title = "The provider failed"
    retryable = True


class ProviderOverloaded(CallError):
    code = "overloaded"
    title = "The provider is overloaded"
    retryable = True


class InvalidResponse(CallError):
    """Truncated, malformed or empty: an answer that is none."""

    code = "invalid_response"
    title = "The provider's answer could not be read"
    retryable = True


class ContextUnavailable(CallError):
    """A value the prompt needs could not be fetched, so no call was made."""

    code = "context_unavailable"
    title = "A required context fetcher failed"
    retryable = True


class ProviderRateLimited(CallError):
    """A 429 about capacity: the bucket pauses for everyone and the job waits without a try."""

    code = "rate_limited"
    title = "The provider said to slow down"
    retryable = True


class QuotaExhausted(CallError):
    code = "quota_exhausted"
    title = "The provider account's quota is used up"


class ProviderRejected(CallError):
    """400, 413, 422: the provider will not take this request, now or later."""

    code = "provider_rejected"
    title = "The provider rejected the request"


class ProviderDenied(CallError):
    code = "provider_denied"
    title = "The provider refused our credentials"


class ModelNotFound(CallError):
    code = "model_not_found"
    title = "The provider does not know this model"


class ContextTooLong(CallError):
    code = "context_too_long"
    title = "The prompt is longer than the model's context"


class Refused(CallError):
    code = "refused"
    title = "The model refused to answer"


class OutputTruncated(CallError):
    code = "output_truncated"
    title = "The answer was cut by the token limit"


class OutputInvalid(CallError):
    code = "output_invalid"
    title = "The answer does not match the required schema"


class RedirectRefused(CallError):
    code = "redirect_refused"
    title = "The provider answered with a redirect, which is never followed"


class InferenceFailed(CallError):
    """The model's answer is not what the definition's result event can read, twice."""

    code = "ERROR_LLM_PROMPT_INFERENCE"
    title = "The answer cannot be used"


class CallCancelled(CallError):
    code = "cancelled"
    title = "The call was cancelled"
