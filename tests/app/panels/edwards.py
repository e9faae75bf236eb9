"""Points of edwards25519 in affine integers: enough to forge what a verifier must refuse (RFC 8032, 5.1)."""

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    cross = _D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + cross, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, P)
    return x % P, y % P


def multiply(factor: int, point: Point) -> Point:
    total = IDENTITY
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _with_y(y: int) -> Point | None:
    """The point of that y whose x is even."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (min(x, P - x, key=lambda root: root & 1), y) if x * x % P == square else None


def _base() -> Point:
    point = _with_y(4 * pow(5, -1, P) % P)
    assert point is not None
    return point


def _order_8() -> Point:
    """L times a random point, until the rest of it has the full order 8."""
    for y in range(2, 1000):
        point = _with_y(y)
        if point is not None:
            rest = multiply(L, point)
            if multiply(4, rest) != IDENTITY:
                return rest
    raise AssertionError("no point of order 8 below y = 1000")


B = _base()
T8 = _order_8()
