"""The description of ``/v1/decisions`` for OpenAPI, beside those that FastAPI makes itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

_TEXT = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^\s\x00](?:[^\x00\n]*[^\s\x00])?$"}
_BOTH = {
    "type": "object",
    "properties": {"zh": {"type": "string"}, "en": {"type": "string"}},
    "required": ["zh", "en"],
}
_NULL: dict[str, Any] = {"type": "null"}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, _NULL]}


SCHEMAS: dict[str, Any] = {
    "TransferAsked": {
        "type": "object", "title": "TransferAsked", "required": ["payer", "payee", "amount_fen"],
        "additionalProperties": False,
        "properties": {
            "payer": {**_TEXT, "description": "Paying account", "examples": ["6222020000000001"]},
            "payee": {**_TEXT, "description": "Receiving account", "examples": ["6222020000000002"]},
            "amount_fen": {"type": "integer", "minimum": 1, "maximum": 10**15, "examples": [500000]},
            "ts": {**_maybe({"type": "string", "format": "date-time"}), "description": "When; else now"},
            "device": {**_maybe(_TEXT), "description": "Device that orders it"},
            "payer_balance_fen": {
                **_maybe({"type": "integer", "minimum": -(10**15), "maximum": 10**15}),
                "description": "The payer's balance after it",
            },
            "channel": {"anyOf": [{"type": "string"}, _NULL], "description": "As in the table transfers"},
            "merchant_id": _maybe(_TEXT),
            "deadline_ms": {
                **_maybe({"type": "integer", "minimum": 20, "maximum": 5000}),
                "description": "A shorter deadline than the policy's",
            },
        },
    },
    "Decision": {
        "type": "object", "title": "Decision",
        "required": ["id", "repeated", "action", "step", "at", "ends_at", "missing", "scam_type", "level", "state"],
        "properties": {
            "id": {"type": "string", "examples": ["17"]},
            "repeated": {"type": "boolean", "description": "The key was used before: this is what was answered then"},
            "action": {"type": "string", "enum": ["allow", "warn", "delay", "hold"]},
            "step": {"anyOf": [{"type": "string"}, _NULL], "description": "Step of the policy; null: none held"},
            "at": {"type": "string", "format": "date-time"},
            "ends_at": {
                "anyOf": [{"type": "string", "format": "date-time"}, _NULL],
                "description": "When a delay or a hold ends by itself",
            },
            "missing": {
                "type": "array", "items": {"type": "string", "enum": ["payer", "payee"]},
                "description": "Sides whose owner had not answered at the deadline",
            },
            "scam_type": {"anyOf": [{"type": "string"}, _NULL]},
            "level": {"type": "integer", "description": "Of the alert on the payer: 0 none … 4 urgent"},
            "customer": {**_BOTH, "description": "Words for the customer"},
            "clerk": {"type": "object", "description": "Words for the clerk: why, what to do, what to ask"},
            "reasons": {"type": "array", "items": {"type": "object"}},
            "basis": {"type": "object", "description": "Basis in law of a delay or a hold"},
            "remedy": {"type": "object", "description": "How the customer may object"},
            "state": {"type": "object", "description": "Log position, rules and policy that it rests on"},
        },
    },
    "DecisionRecord": {
        "type": "object", "title": "DecisionRecord", "required": ["id", "key"],
        "properties": {
            "id": {"type": "string"}, "key": {"type": "string"},
            "sentences": {"type": "object", "description": "Why, in Chinese and English"},
            "question": {"type": "object"}, "answer": {"type": "object"}, "facts": {"type": "object"},
            "sides": {"type": "object", "description": "Figures and evidence of each side as it would have been"},
        },
    },
    "Decisions": {
        "type": "object", "title": "Decisions", "required": ["id", "repeated", "n", "counts", "rejected", "rejects"],
        "properties": {
            "id": {"type": "string"}, "repeated": {"type": "boolean"}, "n": {"type": "integer"},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "rejected": {"type": "integer"},
            "rejects": {"type": "array", "items": {"type": "object"}},
            "decisions": {
                "type": "array", "items": {"type": "object"}, "description": "Every row that is not allowed",
            },
        },
    },
}  # fmt: skip

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
_WORDS = {
    400: "The body cannot be read", 401: "No key, or one that is unknown or revoked", 403: "Not a bank's key",
    404: "No such decision of this source", 405: "Not this method",
    409: "The key stands for another question", 413: "The body is too large",
    415: "The body's type is none that is read", 422: "The question is wrong",
    429: "Too many at once: after Retry-After ask again with the same key",
    503: "The database does not answer, or nobody owns the state",
}  # fmt: skip


def _responses(model: str, *statuses: int) -> dict[str, Any]:
    ok = {"description": "Done", "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}}
    return {"200": ok, **{str(s): {"description": _WORDS[s], "content": _PROBLEM} for s in statuses}}


_SECURITY: list[dict[str, list[str]]] = [{"key": []}]
_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": True,
    "description": "One a question: the same key gives the same answer, however often it is asked",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}  # fmt: skip
_EXAMPLE = {"payer": "6222020000000001", "payee": "6222020000000002", "amount_fen": 500000, "channel": "mobile"}
_ROWS = '{"event_id": "t-1", "ts": "2026-03-02T09:15:00+08:00", "payer": "6222020000000001", "payee": "6222020000000002", "amount_fen": 500000}\n'  # noqa: E501
PATHS: dict[str, Any] = {
    "/v1/decisions/transfer": {
        "post": {
            "tags": ["decisions"], "summary": "Ask about a transfer", "operationId": "decide_transfer",
            "description": "Allow, warn, delay or hold, with words for the customer and for the clerk.",
            "security": _SECURITY, "parameters": [_KEY],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/TransferAsked"}, "example": _EXAMPLE,
                    }
                },
            },
            "responses": _responses("Decision", 400, 401, 403, 409, 413, 422, 429, 503),
        }
    },
    "/v1/decisions/transfers": {
        "post": {
            "tags": ["decisions"], "summary": "Ask about many transfers", "operationId": "decide_transfers",
            "description": "Rows of the table transfers, each judged by itself; one key for the batch.",
            "security": _SECURITY, "parameters": [_KEY],
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-ndjson": {"schema": {"type": "string"}, "example": _ROWS},
                    "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
                    "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            "responses": _responses("Decisions", 400, 401, 403, 409, 413, 415, 422, 429, 503),
        }
    },
    "/v1/decisions/{decision}": {
        "get": {
            "tags": ["decisions"], "summary": "Explain a decision", "operationId": "explain_decision",
            "security": _SECURITY,
            "parameters": [
                {
                    "name": "decision", "in": "path", "required": True, "schema": {"type": "string"}, "example": "17",
                    "description": "Its id; of one row of a batch, the batch's id, a point and the row from 0",
                }
            ],
            "responses": _responses("DecisionRecord", 401, 403, 404, 405, 503),
        }
    },
}  # fmt: skip


def describe(app: FastAPI) -> None:
    """Add these addresses to the app's description."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        schema["paths"].update(PATHS)
        parts = schema.setdefault("components", {})
        parts.setdefault("schemas", {}).update(SCHEMAS)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
