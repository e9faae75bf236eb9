"""What a trust file says of time: the time-stamp authorities that its holder counts, and where he follows Bitcoin from.

    "tsa":{"m":2,"authorities":[{"name":TEXT,"subject":TEXT or null,"roots":[B64…]}…]}
    "headers":{"height":N,"hash":HEX,"limit":HEX,"floor":HEX,"retarget":BOOL,"chain":B64}

`subject` is the common name of an authority's signing certificates; it is demanded where a root stands in several
authorities, so that one operator is never counted twice. `hash` is written as block explorers show it, `limit` and
`floor` are nBits. `chain` holds headers from the checkpoint's own on, 80 bytes each, or nothing: then a holder may keep
them in a bundle of his own (`muniment headers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from app.canonical import b64u_encode, take_b64u, take_bool, take_hex, take_int, take_list, take_object, take_str
from app.errors import BadInput
from ledger.anchors.headers import MAX_HEIGHT, Chain, Checkpoint, Rules, check_chain
from ledger.anchors.tsa_chain import Authority
from ledger.errors import LedgerError

MAX_AUTHORITIES, MAX_ROOTS, MAX_ROOT_BYTES = 16, 8, 16_384
MAX_CHAIN_BYTES = 80 * 8192
"""Headers in the trust file itself; a longer chain is kept in a bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TsaTrust:
    """`m` of these authorities, each counted once, make an entry `timestamped`."""

    m: int
    authorities: tuple[Authority, ...]

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """All their roots, each once."""
        found: list[x509.Certificate] = []
        for authority in self.authorities:
            found += [each for each in authority.roots if each not in found]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderTrust:
    """The header checkpoint with the rules of its chain, and the headers that the trust file carries itself."""

    checkpoint: Checkpoint
    chain: Chain


def tsa_json(tsa: TsaTrust) -> dict[str, object]:
    """The value of `tsa`."""
    return {
        "m": tsa.m,
        "authorities": [
            {
                "name": each.name,
                "subject": each.subject,
                "roots": [b64u_encode(root.public_bytes(Encoding.DER)) for root in each.roots],
            }
            for each in tsa.authorities
        ],
    }


def headers_json(checkpoint: Checkpoint, headers: bytes = b"") -> dict[str, object]:
    """The value of `headers`."""
    return {
        "height": checkpoint.height,
        "hash": checkpoint.hash[::-1].hex(),
        "limit": f"{checkpoint.rules.limit:08x}",
        "floor": f"{checkpoint.rules.floor:08x}",
        "retarget": checkpoint.rules.retarget,
        "chain": b64u_encode(headers),
    }


def read_tsa(value: object, what: str) -> TsaTrust:
    """Read `tsa`. Raises BadInput."""
    fields = take_object(value, ("m", "authorities"), what)
    listed = take_list(fields["authorities"], f"the authorities of {what}", min_items=1, max_items=MAX_AUTHORITIES)
    authorities = tuple(_authority(each, f"authority {number} of {what}") for number, each in enumerate(listed, 1))
    m = take_int(fields["m"], f"m of {what}", minimum=1, maximum=len(authorities))
    if len({each.name for each in authorities}) != len(authorities):
        raise BadInput(f"{what}: two authorities have one name", "Give each a name of its own.", code="bad_field")
    owners: dict[x509.Certificate, list[str | None]] = {}
    for each in authorities:
        for root in each.roots:
            owners.setdefault(root, []).append(each.subject)
    for subjects in owners.values():
        if len(subjects) > 1 and (None in subjects or len(set(subjects)) != len(subjects)):
            raise BadInput(
                f"{what}: a root stands in several authorities, and their subjects do not tell them apart",
                "Give each the common name of its signing certificate as subject.",
                code="bad_field",
            )
    return TsaTrust(m=m, authorities=authorities)


def read_headers(value: object, what: str) -> HeaderTrust:
    """Read `headers` and check the chain that it carries. Raises BadInput."""
    fields = take_object(value, ("height", "hash", "limit", "floor", "retarget", "chain"), what)
    raw = take_b64u(fields["chain"], f"the chain of {what}")
    if len(raw) > MAX_CHAIN_BYTES:
        raise BadInput(
            f"{what}: the chain has {len(raw)} bytes, more than {MAX_CHAIN_BYTES}",
            "Keep a longer chain in a bundle of your own (muniment headers).",
            code="bad_field",
        )
    try:
        checkpoint = Checkpoint(
            height=take_int(fields["height"], f"the height of {what}", maximum=MAX_HEIGHT),
            hash=take_hex(fields["hash"], f"the hash of {what}", size=32)[::-1],
            rules=Rules(
                limit=_bits(fields["limit"], f"the limit of {what}"),
                floor=_bits(fields["floor"], f"the floor of {what}"),
                retarget=take_bool(fields["retarget"], f"retarget of {what}"),
            ),
        )
        return HeaderTrust(checkpoint=checkpoint, chain=check_chain(raw, checkpoint))
    except LedgerError as error:
        raise BadInput(
            f"{what}: {error.message}", "Ask the court for its trust file again.", code=error.code
        ) from error


def make_authority(name: str, roots: Sequence[bytes], subject: str | None = None) -> Authority:
    """An authority from its roots' DER or PEM. Raises BadInput (bad_certificate)."""
    return Authority(
        name=name, roots=tuple(_certificate(each, f"a root of {name!r}") for each in roots), subject=subject
    )


def _authority(value: object, what: str) -> Authority:
    fields = take_object(value, ("name", "subject", "roots"), what)
    name = _text(fields["name"], f"the name of {what}")
    subject = None if fields["subject"] is None else _text(fields["subject"], f"the subject of {what}")
    ders = [
        take_b64u(each, f"a root of {what}")
        for each in take_list(fields["roots"], f"the roots of {what}", min_items=1, max_items=MAX_ROOTS)
    ]
    if len(set(ders)) != len(ders) or any(len(each) > MAX_ROOT_BYTES for each in ders):
        raise BadInput(f"{what}: a root stands twice, or is larger than {MAX_ROOT_BYTES} bytes", code="bad_field")
    roots = tuple(_certificate(each, f"a root of {what}") for each in ders)
    if [each.public_bytes(Encoding.DER) for each in roots] != ders:
        raise BadInput(f"{what}: a root is not the DER of one certificate", code="bad_certificate")
    return Authority(name=name, roots=roots, subject=subject)


def _certificate(data: bytes, what: str) -> x509.Certificate:
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except Exception as error:
        raise BadInput(
            f"{what} is no certificate: {error}"[:300], "Give its DER or PEM.", code="bad_certificate"
        ) from error


def _text(value: object, what: str) -> str:
    text = take_str(value, what, min_bytes=1, max_bytes=200)
    if not text.isprintable():
        raise BadInput(f"{what} has characters that cannot be printed", code="bad_field")
    return text


def _bits(value: object, what: str) -> int:
    return int.from_bytes(take_hex(value, what, size=4), "big")
