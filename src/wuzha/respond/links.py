"""No message of ours carries a link.

Kept true here: a text that we say, show or send holds no address of a site, no short link, no IP address, however it
is dressed up: whoever has never had a link from the police can trust none.
"""

from __future__ import annotations

import re
import unicodedata

_DOTS = str.maketrans({"。": ".", "．": ".", "｡": ".", "·": ".", "•": "."})
_LINK = re.compile(
    r"""
    \b[a-z][a-z0-9+.-]{1,15}\s?:\s?/\s?/                      # any scheme
    | \bwww\s?\.                                              # www.
    | (?<![a-z0-9@])[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63})*\.(?:[a-z]{2,24}|xn--[a-z0-9-]+)(?![a-z0-9])
    | (?<![a-z0-9@])[a-z0-9-]{2,63}\s?\.\s?(?:com|cn|net|org|gov|edu|info|top|xyz|vip|cc|me|io|app|link|site|club|online
        |shop|ltd|icu|wang|store|fun|work|live|tk|ru|hk|tw)(?![a-z0-9])
    | [\w-]+\.(?:中国|公司|网络|网址|网站|商城|集团|移动)  # names in Chinese
    | (?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)                    # an IP address
    | \[?\bdot\]?\s?(?:com|cn|net|org|top|xyz)\b              # "dot com"
    """,
    re.I | re.X,
)


def link_in(text: str) -> str | None:
    """The first thing in ``text`` that is or looks like a link, or None."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(c for c in plain if unicodedata.category(c) != "Cf").translate(_DOTS)
    found = _LINK.search(plain)
    return found[0].strip() if found else None
