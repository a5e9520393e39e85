"""What the doctor finds of lines to others: the exchange that calls go over, the gateway for texts, the log's servers.

Kept true here: nothing is called, texted or logged in to; no word of a password is told.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from pydantic import ValidationError

from .doctor import Finding


def _wrong(name: str, prefix: str, error: ValueError, mend: str) -> Finding:
    words = str(error)
    if isinstance(error, ValidationError):
        words = "; ".join(f"{prefix}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors() if e["loc"])
    return Finding(name=name, state="fail", words=words, mend=mend)


def telephone() -> Iterator[Finding]:
    """The exchange of WUZHA_SIP_SERVER."""
    from wuzha.respond import sip

    mend = "docs/desk.md says what WUZHA_SIP_… mean; without WUZHA_SIP_SERVER the officers dial by hand"
    try:
        settings = sip.Settings()
        if not settings.server:
            yield Finding(name="telephone", state="ok", words="by hand; no exchange is named")
            return
        _ = settings.address, settings.password()
    except ValueError as error:
        yield _wrong("telephone", "WUZHA_SIP_", error, mend)
        return
    wrong = asyncio.run(sip.check(settings.model_copy(update={"silent_s": min(settings.silent_s, 3.0)})))
    place = f"{settings.server} over {settings.transport}"
    if wrong is not None:
        yield Finding(
            name="telephone", state="warn", words=f"the exchange {place}: {wrong}",
            mend="is it running, and reached from here? The officers dial by hand meanwhile",
        )  # fmt: skip
        return
    entered = f"{settings.user} with{'' if settings.password_file else 'out'} a password"
    yield Finding(name="telephone", state="ok", words=f"the exchange {place} answers; we enter as {entered}")


def texts() -> Iterator[Finding]:
    """The gateway of WUZHA_SMPP_SERVER."""
    from wuzha.respond import texting

    mend = "docs/settings.md says what WUZHA_SMPP_… mean; without WUZHA_SMPP_SERVER texts go by hand"
    try:
        settings = texting.Settings()
        if not settings.server:
            yield Finding(name="texts", state="ok", words="by hand; no message gateway is named")
            return
        wrong = texting.check(settings.model_copy(update={"timeout_s": min(settings.timeout_s, 3.0)}))
    except ValueError as error:
        yield _wrong("texts", "WUZHA_SMPP_", error, mend)
        return
    if wrong is not None:
        yield Finding(
            name="texts", state="warn", words=f"the message gateway {settings.server}: {wrong}",
            mend="is it running, and reached from here? Texts wait, and go by hand meanwhile",
        )  # fmt: skip
        return
    entered = f"{settings.system_id} with{'' if settings.password_file else 'out'} a password"
    yield Finding(
        name="texts", state="ok", words=f"the message gateway {settings.server} is reached; we enter as {entered}"
    )


def stream() -> Iterator[Finding]:
    """The log's own servers, where WUZHA_LOG names them."""
    from wuzha.store import log_nodes
    from wuzha.store.jetstream import LogAway, LogUnsound, Place, Stream, unsound

    said = os.environ.get("WUZHA_LOG")
    if not said:
        return
    mend = "docs/many.md says how the nodes are set up"
    try:
        there = Stream(Place.read(said))
        try:
            state = there.state(patience_s=3.0)
        finally:
            there.close()
    except (ValueError, LogUnsound) as error:
        yield Finding(name="log", state="fail", words=str(error), mend=mend)
        return
    except ModuleNotFoundError:
        yield Finding(name="log", state="fail", words="nats-py is missing", mend="pip install 'wuzha[many]'")
        return
    except LogAway as error:
        yield Finding(name="log", state="fail", words=str(error), mend="is it running, and reached from here?")
        return
    wrong = unsound(state)
    words = f"stream {there.place.name}, positions {state.first} to {state.last}, {state.replicas} replicas"
    if wrong:
        yield Finding(name="log", state="fail", words=f"{words}; {'; '.join(wrong)}", mend=mend)
    elif len(state.current) < len(state.peers):
        behind = ", ".join(sorted(set(state.peers) - set(state.current)))
        yield Finding(
            name="log", state="warn", words=f"{words}; behind or away: {behind}",
            mend="start it again: until then one more node that fails stops the log",
        )  # fmt: skip
    else:
        yield Finding(name="log", state="ok", words=f"{words}, all up to date")
    told = log_nodes.nodes()
    if not told:
        yield Finding(
            name="log nodes", state="warn", words="whether each write is synced cannot be seen",
            mend="name their monitoring pages in WUZHA_LOG_NODES: http://host-1:8222,…",
        )  # fmt: skip
    for node in told:
        named = f"{node.name} ({node.address})"
        if node.wrong is None:
            yield Finding(name="log node", state="ok", words=f"{named}, nats-server {node.version}, syncs each write")
        else:
            away = node.version == "?"
            yield Finding(name="log node", state="warn" if away else "fail", words=f"{named}: {node.wrong}", mend=mend)
