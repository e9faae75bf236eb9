"""Which Ed25519 public keys are good: the one function by which enrolments, policies and trust files refuse others.

A library may accept keys that break what a signature proves: with a key of small order one signature fits many
messages, with a key of mixed order two verifiers can disagree, and a second encoding of a point is a second name
for one key. Refused here: any length but 32, y >= p, "negative zero", y that is on no point, the identity, and every
point outside the subgroup of order L. Source: RFC 8032 §5.1 (constants), §5.1.3 (decoding).

Nothing here is secret, so the arithmetic need not be constant in time.
"""

from functools import lru_cache

from ledger.errors import BadKey

PUBLIC_KEY_BYTES = 32

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z (RFC 8032 §5.1.4)."""

_IDENTITY: _Point = (0, 1, 1, 0)


def check_public_key(raw: bytes, what: str = "the Ed25519 public key") -> None:
    """Raise BadKey unless `raw` (32 bytes, RFC 8032 §5.1.2) names a point of order L, which is prime.

    `what` begins the message, for instance "the key of witness w1".
    """
    fault = _fault(bytes(raw))
    if fault is not None:
        raise BadKey(f"{what} {fault}: {raw[:40].hex()}", "Make a new key pair with a standard tool and use its key.")


def is_good_public_key(raw: bytes) -> bool:
    """Answer whether `check_public_key` would accept `raw`."""
    return _fault(bytes(raw)) is None


@lru_cache(maxsize=4096)
def _fault(raw: bytes) -> str | None:
    if len(raw) != PUBLIC_KEY_BYTES:
        return f"has {len(raw)} bytes instead of {PUBLIC_KEY_BYTES}"
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return "is not canonical (y is not below 2^255 - 19)"
    x = _x_of(y)
    if x is None:
        return "is not a point of the curve"
    if x == 0 and sign == 1:
        return "is not canonical (x = 0 with the sign bit set)"
    if x & 1 != sign:
        x = _P - x
    if (x, y) == (0, 1):
        return "is the identity"
    if not _is_identity(_multiply(_L, (x, y, 1, x * y % _P))):
        return "is of small or mixed order"
    return None


def _x_of(y: int) -> int | None:
    """A square root of (y² - 1) / (d·y² + 1) modulo p, or None (RFC 8032 §5.1.3, step 2 and 3)."""
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == u:
        return x
    if v * x * x % _P == _P - u:
        return x * _SQRT_MINUS_1 % _P
    return None


def _add(a: _Point, b: _Point) -> _Point:
    """The complete addition of RFC 8032 §5.1.4; it doubles too."""
    e_minus = (a[1] - a[0]) * (b[1] - b[0]) % _P
    e_plus = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c = 2 * a[3] * b[3] * _D % _P
    d = 2 * a[2] * b[2] % _P
    e, f, g, h = e_plus - e_minus, d - c, d + c, e_plus + e_minus
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _IDENTITY
    while scalar > 0:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _is_identity(point: _Point) -> bool:
    return point[0] % _P == 0 and (point[1] - point[2]) % _P == 0
