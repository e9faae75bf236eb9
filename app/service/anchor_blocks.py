"""A block's header and its six successors, from sources that must agree, in the manner of Esplora.

GET /block-height/H gives a hash, GET /block/HASH/header 160 hex digits. Nothing of it is believed: hashes are computed
again, the headers linked and weighed, and the Merkle root compared with the one that the proof ends in.
"""

import asyncio
from collections import Counter

from app.errors import Mismatch, Unreachable
from app.service.anchor_http import AnchorHttp
from app.service.anchor_settings import AnchorTerms
from ledger.anchors.headers import HEADER_BYTES, SUCCESSORS, locate, parse_header
from ledger.anchors.ots import Attested

MAX_ANSWER_BYTES = 400


async def shown_headers(http: AnchorHttp, terms: AnchorTerms, attested: Attested) -> bytes | None:
    """Return the 560 bytes that an anchor shows; None while six blocks have not followed.

    Raises Mismatch (`headers_disagree`), Unreachable, and BadAnchor for what is forged.
    """
    answers = await asyncio.gather(
        *(_from(http, each, attested.height) for each in terms.header_sources), return_exceptions=True
    )
    for each in answers:
        if isinstance(each, BaseException) and not isinstance(each, Unreachable):
            raise each
    found = Counter(each for each in answers if isinstance(each, bytes))
    best = found.most_common(1)
    if best and best[0][1] >= terms.header_quorum:
        shown = best[0][0]
        locate(attested.height, attested.merkle_root, shown, terms.bitcoin, None)
        return shown
    if len(found) > 1:
        raise Mismatch(
            f"the header sources disagree on block {attested.height}: {len(found)} different answers",
            "One of them is wrong or behind; it is asked again later.",
            code="headers_disagree",
        )
    if any(each is None for each in answers):
        return None
    problem = next((each.message for each in answers if isinstance(each, Unreachable)), "no source is named")
    raise Unreachable(f"too few header sources answered about block {attested.height}: {problem}"[:400])


async def _from(http: AnchorHttp, source: str, height: int) -> bytes | None:
    """The seven headers by one source; None when it has not so many. Raises Unreachable for what is no answer."""
    found = b""
    for each in range(height, height + SUCCESSORS + 1):
        try:
            text = (
                (await http.get(f"{source}/block-height/{each}", most=MAX_ANSWER_BYTES))
                .decode("ascii", "replace")
                .strip()
            )
        except Unreachable as error:
            if error.code == "not_there":
                return None
            raise
        if len(text) != 64 or any(c not in "0123456789abcdef" for c in text):
            raise Unreachable(f"{source} gave no hash for block {each}")
        raw = (
            (await http.get(f"{source}/block/{text}/header", most=MAX_ANSWER_BYTES)).decode("ascii", "replace").strip()
        )
        try:
            header = bytes.fromhex(raw) if len(raw) == 2 * HEADER_BYTES else b""
        except ValueError:
            header = b""
        if len(header) != HEADER_BYTES or parse_header(header).text != text:
            raise Unreachable(f"{source} gave another header than that of {text}")
        found += header
    return found
