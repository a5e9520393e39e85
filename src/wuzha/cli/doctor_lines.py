"""What the doctor finds of the lines to people: the exchange that calls go over, and the gateway for texts.

Kept true here: nothing is called, texted or logged in to; no word of a password is told.
"""

from __future__ import annotations

import asyncio
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
