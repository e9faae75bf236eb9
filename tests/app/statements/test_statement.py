"""Statements: one text for one act, and every other spelling refused by name."""

import hashlib
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import b64u_decode, b64u_encode, format_json
from app.errors import AppError, BadInput, Refused
from app.fields import write_record
from app.statements.keys import jwk_of, thumbprint
from app.statements.kinds import (
    DEFAULT_RULES,
    KINDS,
    CaseOpen,
    CaseParty,
    MemberEnrol,
    ReleaseDecision,
    is_public,
    leaf_kind,
)
from app.statements.statement import (
    EMPTY_SEEN,
    MAX_STATEMENT_BYTES,
    Signer,
    Statement,
    leaf_of,
    parse_leaf,
    parse_statement,
    verify_signature,
)

ORIGIN = "ledger.example/court"
SIGNER = Signer(bytes(range(32)))
ENVELOPE: dict[str, Any] = {
    "aud": ORIGIN,
    "kind": "case.open",
    "iat": 1_700_000_000,
    "exp": 1_700_003_600,
    "jti": "00" * 16,
    "seen": {"size": 0, "root": hashlib.sha256(b"").hexdigest()},
}
RULES = write_record(DEFAULT_RULES)


def case_open() -> Statement:
    return SIGNER.sign(CaseOpen(case_id=bytes(16), note=None), aud=ORIGIN, iat=1, exp=2, jti=bytes(16), seen=EMPTY_SEEN)


def compact(payload: str | bytes, header: str | None = None, signature: bytes = bytes(64)) -> str:
    raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    head = header or format_json({"alg": "Ed25519", "kid": SIGNER.kid, "typ": "muniment-statement+jws"})
    return f"{b64u_encode(head.encode())}.{b64u_encode(raw)}.{b64u_encode(signature)}"


def payload(**changes: Any) -> str:
    return format_json({**ENVELOPE, "case_id": "00" * 16, "rules": RULES, "note": None, **changes})


def test_a_statement_is_read_back_as_it_was_signed() -> None:
    statement = case_open()
    assert parse_statement(statement.text) == statement
    verify_signature(statement, SIGNER.public)
    assert statement.digest == hashlib.sha256(statement.text.encode()).digest()


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    """RFC 8037 appendix A.3."""
    key = b64u_decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "x")
    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_another_key_is_refused() -> None:
    with pytest.raises(Refused, match="names the key"):
        verify_signature(case_open(), Signer(bytes(32)).public)


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_refused(position: int, change: int) -> None:
    raw = bytearray(case_open().text.encode())
    raw[position % len(raw)] ^= change
    with pytest.raises(AppError):
        verify_signature(parse_statement(bytes(raw)), SIGNER.public)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_only_raise_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_statement(data)


@given(st.binary(max_size=300))
def test_arbitrary_payloads_only_raise_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_statement(compact(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(KINDS)), st.dictionaries(st.text(max_size=12), JSON, max_size=6))
def test_arbitrary_claims_of_every_kind_only_raise_bad_input(kind: str, claims: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        parse_statement(compact(format_json({**ENVELOPE, "kind": kind, **claims})))


@given(st.sampled_from(["case_id", "note", "iat", "exp", "jti", "seen", "aud", "kind"]), JSON)
def test_a_field_of_another_form_is_refused_or_read_as_it_stands(name: str, value: Any) -> None:
    try:
        statement = parse_statement(compact(payload(**{name: value})))
    except BadInput:
        return
    assert statement.claims == CaseOpen(case_id=bytes(16), note=None) or name in ("case_id", "note")


HOSTILE = {
    "two parts": ("e30.e30", "bad_jws"),
    "too large": ("a" * (MAX_STATEMENT_BYTES + 1), "too_large"),
    "not JSON": (compact("{"), "not_json"),
    "not an object": (compact("[]"), "bad_field"),
    "deep": (compact("[" * 5000 + "]" * 5000), "too_deep"),
    "duplicate key": (compact(payload().replace('"note":null', '"note":null,"note":null')), "duplicate_key"),
    "beyond 2^53": (compact(payload().replace('"iat":1700000000', f'"iat":{2**53}')), "integer_out_of_range"),
    "a float": (compact(payload().replace('"iat":1700000000', '"iat":1.5')), "not_json"),
    "NaN": (compact(payload().replace('"iat":1700000000', '"iat":NaN')), "not_json"),
    "a boolean as a number": (compact(payload(iat=True)), "wrong_type"),
    "not UTF-8": (compact(b'{"aud":"\xff"}'), "not_utf8"),
    "a space": (compact(payload().replace('"note":', '"note": ')), "not_canonical"),
    "an optional escape": (compact(payload().replace('"note"', '"not\\u0065"')), "not_canonical"),
    "unknown kind": (compact(payload(kind="case.burn")), "unknown_kind"),
    "an unknown key": (compact(payload(more=1)), "bad_field"),
    "keys in another order": (
        compact(format_json({**ENVELOPE, "note": None, "rules": RULES, "case_id": "00" * 16})),
        "bad_field",
    ),
    "a notice below nothing": (compact(payload(rules={**RULES, "notice_seconds": -1})), "integer_out_of_range"),
    "rules that nobody knows": (compact(payload(rules={**RULES, "contribute": "never"})), "unknown_value"),
    "one rule more": (compact(payload(rules={**RULES, "judges": 1})), "bad_field"),
    "upper case hex": (compact(payload(case_id="AA" * 16)), "not_hex"),
    "another algorithm": (
        compact(payload(), format_json({"alg": "EdDSA", "kid": SIGNER.kid, "typ": "muniment-statement+jws"})),
        "unknown_value",
    ),
    "alg none": (
        compact(payload(), format_json({"alg": "none", "kid": SIGNER.kid, "typ": "muniment-statement+jws"})),
        "unknown_value",
    ),
    "a header with a key in it": (
        compact(
            payload(),
            format_json(
                {"alg": "Ed25519", "kid": SIGNER.kid, "typ": "muniment-statement+jws", "jwk": jwk_of(bytes(32))}
            ),
        ),
        "bad_field",
    ),
    "a short signature": (compact(payload(), signature=bytes(63)), "wrong_length"),
    "a weak key": (
        compact(
            format_json(
                {
                    **ENVELOPE,
                    "kind": "member.enrol",
                    "key": jwk_of(bytes(32)),
                    "notes": "age1pq1" + "q" * 1952,
                    "role": "judge",
                    "name": "J",
                }
            )
        ),
        "weak_key",
    ),
    "a slot with two commitments": (
        compact(
            format_json(
                {
                    **ENVELOPE,
                    "kind": "deposit",
                    "deposit_id": "00" * 16,
                    "case_id": "00" * 16,
                    "manifest_hash": "00" * 32,
                    "capsules": [
                        {
                            "panel_id": "00" * 32,
                            "epoch_id": "00" * 32,
                            "y": "00" * 32,
                            "public": b64u_encode(bytes(161)),
                            "ct_hash": "00" * 32,
                        }
                    ],
                    "slots": {"description": [b64u_encode(bytes(32)), b64u_encode(bytes(32))], "origin": "x"},
                    "note": None,
                }
            )
        ),
        "bad_field",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_statement_is_refused_by_name(name: str) -> None:
    text, code = HOSTILE[name]
    with pytest.raises(BadInput) as caught:
        parse_statement(text)
    assert caught.value.code == code


def test_a_control_character_in_a_name_is_refused() -> None:
    with pytest.raises(BadInput, match=r"U\+001B"):
        SIGNER.sign(
            MemberEnrol(key=SIGNER.public, notes="age1pq1" + "q" * 1952, role="party", name="a\x1b[2J"),
            aud=ORIGIN,
            iat=1,
            exp=2,
            jti=bytes(16),
            seen=EMPTY_SEEN,
        )


def test_whether_an_enrolment_is_public_follows_from_its_role() -> None:
    def enrol(role: Any) -> MemberEnrol:
        return MemberEnrol(key=SIGNER.public, notes="age1pq1" + "q" * 1952, role=role, name="N")

    assert [is_public("member.enrol", enrol(r)) for r in ("registrar", "clerk", "judge", "depositor", "party")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert leaf_kind("member.enrol", enrol("party")) == "private"
    decision = ReleaseDecision(request=bytes(32), decision="refuse", contribution=None, note=None)
    assert leaf_kind("release.decision", decision) == "private"


def test_a_leaf_is_read_back_and_names_nothing_private() -> None:
    statement = case_open()
    text = leaf_of(statement, 1_700_000_001)
    assert text == '{"v":1,"kind":"private","time":1700000001,"digest":"' + statement.digest.hex() + '"}'
    leaf = parse_leaf(text)
    assert (leaf.kind, leaf.time, leaf.digest) == ("private", 1_700_000_001, statement.digest)


@given(st.binary(max_size=200))
def test_arbitrary_leaves_only_raise_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_leaf(data)


@given(st.binary(min_size=16, max_size=16))
def test_claims_of_nested_records_survive(case_id: bytes) -> None:
    claims = CaseParty(case_id=case_id, member=SIGNER.kid, note=os.urandom(32))
    statement = SIGNER.sign(claims, aud=ORIGIN, iat=1, exp=2, jti=bytes(16), seen=EMPTY_SEEN)
    assert parse_statement(statement.text).claims == claims
