"""What a trust file says of seals: the roots under which a court's seal is believed.

    "seal":{"roots":[B64…]}

Each root is a certificate in DER, self-signed or not: whoever wrote the trust file chose it.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from app.canonical import b64u_encode, take_b64u, take_list, take_object
from app.errors import BadInput

MAX_ROOTS, MAX_ROOT_BYTES = 16, 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class SealTrust:
    """1 to 16 roots, each once."""

    roots: tuple[x509.Certificate, ...]


def seal_json(seal: SealTrust) -> dict[str, object]:
    """The value of `seal`."""
    return {"roots": [b64u_encode(each.public_bytes(Encoding.DER)) for each in seal.roots]}


def read_seal_trust(value: object, what: str) -> SealTrust:
    """Read `seal`. Raises BadInput."""
    fields = take_object(value, ("roots",), what)
    listed = take_list(fields["roots"], f"the roots of {what}", min_items=1, max_items=MAX_ROOTS)
    roots = tuple(_root(each, f"root {number} of {what}") for number, each in enumerate(listed, 1))
    if len(set(roots)) != len(roots):
        raise BadInput(f"{what}: a root stands twice", "Name each once.", code="bad_field")
    return SealTrust(roots=roots)


def _root(value: object, what: str) -> x509.Certificate:
    data = take_b64u(value, what)
    if len(data) > MAX_ROOT_BYTES:
        raise BadInput(f"{what} has {len(data)} bytes, more than {MAX_ROOT_BYTES}", code="bad_field")
    try:
        found = x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise BadInput(f"{what} is no certificate: {error}", "Give it in DER.", code="bad_field") from error
    if found.public_bytes(Encoding.DER) != data:
        raise BadInput(
            f"{what} is not exactly one certificate", "Give it in DER, and nothing after it.", code="bad_field"
        )
    return found
