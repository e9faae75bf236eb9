"""The worked checkpoint byte for byte, and other forms refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from ledger.errors import BadSignature, Malformed
from ledger.merkle import EMPTY_ROOT, leaf_hash, root_of
from ledger.note import NoteSigner

SIGNER = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WORKED = """ledger.example/notary
2
4rYJCl8W78l73h09Xr2d3Rc0TtrBn2w/HI0xIwpvjbo=

— ledger.example/notary mGyxCeJ/VKWgmyAZRNZ92O68PljFsRkXo2EEgk0cQPXmq0/RtTRBo19XxHdxCcb0sEyThK0Fb9gGY90eGJ3zDOm6Nw0=
"""
BODY = WORKED[: WORKED.index("\n\n") + 1]


def test_the_worked_checkpoint() -> None:
    root = root_of([leaf_hash(b"deposit"), leaf_hash(b"release")])
    checkpoint = Checkpoint(origin="ledger.example/notary", size=2, root=root)
    assert checkpoint.body == BODY
    assert sign_checkpoint(checkpoint, SIGNER) == WORKED
    assert verify_checkpoint(WORKED, [SIGNER.key]) == checkpoint


names = st.text(min_size=1, max_size=30).filter(
    lambda name: "+" not in name and not any(c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name)
)


@given(names, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_body_reads_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=origin, size=size, root=root)
    assert Checkpoint.parse_body(checkpoint.body) == checkpoint


@given(st.text() | st.lists(st.sampled_from(["a.b\n", "7\n", BODY, BODY[-45:], "\n", "0", "x"])).map("".join))
def test_any_text_is_read_exactly_or_refused(text: str) -> None:
    for extensions in (False, True):
        try:
            checkpoint = Checkpoint.parse_body(text, allow_extensions=extensions)
        except Malformed:
            continue
        assert checkpoint.body == text


@pytest.mark.parametrize(
    "body",
    [
        "",
        BODY[:-1],
        BODY + "\n",
        BODY + "anchor\n",
        BODY.replace("\n2\n", "\n02\n"),
        BODY.replace("\n2\n", "\n+2\n"),
        BODY.replace("\n2\n", "\n 2\n"),
        BODY.replace("\n2\n", "\n-2\n"),
        BODY.replace("\n2\n", "\n2_0\n"),
        BODY.replace("\n2\n", "\n\u0662\n"),
        BODY.replace("\n2\n", "\n\n"),
        BODY.replace("\n2\n", "\n9223372036854775808\n"),
        BODY.replace("\n2\n", "\n" + "9" * 5000 + "\n"),
        BODY.replace("\n2\n", "\n0\n"),
        BODY.replace("bo=", "bo"),
        BODY.replace("bo=", "bp="),
        BODY.replace("4rYJ", ""),
        BODY.replace("4rYJ", "4rYJ4rYJ"),
        BODY.replace("ledger", "led ger"),
        BODY.replace("ledger.example/notary", ""),
        BODY.replace("ledger", "l" * 256),
        "\n".join(BODY.split("\n")[:2]) + "\n",
    ],
)
def test_other_bodies_are_refused(body: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse_body(body)


def test_the_largest_and_the_empty_checkpoint() -> None:
    assert Checkpoint.parse_body(BODY.replace("\n2\n", "\n9223372036854775807\n")).size == 2**63 - 1
    empty = Checkpoint(origin="a.example", size=0, root=EMPTY_ROOT)
    assert Checkpoint.parse_body(empty.body) == empty


def test_extension_lines_are_read_only_where_allowed() -> None:
    checkpoint = Checkpoint.parse_body(BODY + "more\n", allow_extensions=True)
    assert checkpoint.extensions == ("more",)
    assert checkpoint.body == BODY + "more\n"
    with pytest.raises(Malformed):
        Checkpoint.parse_body(BODY + "more\n\n", allow_extensions=True)


def test_a_key_signs_only_for_the_origin_that_it_is_named_after() -> None:
    other = NoteSigner("other.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    with pytest.raises(Malformed):
        sign_checkpoint(Checkpoint.parse_body(BODY), other)
    with pytest.raises(BadSignature):
        verify_checkpoint(other.sign_note(BODY), [other.key, SIGNER.key])
