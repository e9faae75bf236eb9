"""Challenges, tokens and places: nothing forged, expired, borrowed or foreign opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import format_json
from app.errors import AppError
from app.service.tokens import RESPONSE_TYP, Challenge, Place, Sealer, Token, read_response
from app.statements.statement import Signer

ORIGIN = "ledger.example/court"
SEALER = Sealer(bytes(32), ORIGIN)
SIGNER, OTHER = Signer(bytes([1]) * 32), Signer(bytes([2]) * 32)
NOW = 1_800_000_000
TOKEN = Token(origin=ORIGIN, kid=SIGNER.kid, expires=NOW + 900)


def challenge(**changes: object) -> str:
    fields: dict[str, object] = {"origin": ORIGIN, "kid": SIGNER.kid, "nonce": bytes(16), "expires": NOW + 900}
    return SEALER.seal(Challenge(**{**fields, **changes}))  # type: ignore[arg-type]


def response(signer: Signer, text: str, *, aud: str = ORIGIN, typ: str = RESPONSE_TYP) -> str:
    return signer.sign_text(typ, format_json({"aud": aud, "challenge": text}))


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(AppError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_a_token_opens_until_it_expires() -> None:
    text = SEALER.seal(TOKEN)
    assert SEALER.open(Token, text, NOW + 899) == TOKEN
    assert code_of(SEALER.open, Token, text, NOW + 900) == "token_expired"


def test_a_token_of_another_purpose_key_or_origin_does_not_open() -> None:
    text = SEALER.seal(TOKEN)
    assert code_of(SEALER.open, Challenge, text, NOW) == "bad_token"
    assert code_of(SEALER.open, Place, text, NOW) == "bad_token"
    assert code_of(Sealer(bytes([9]) * 32, ORIGIN).open, Token, text, NOW) == "bad_token"
    assert code_of(Sealer(bytes(32), "ledger.example/other").open, Token, text, NOW) == "bad_token"
    assert code_of(SEALER.open, Token, challenge(), NOW) == "bad_token"


@given(st.data())
def test_one_changed_character_is_refused(data: st.DataObject) -> None:
    text = SEALER.seal(TOKEN)
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(min_codepoint=1).filter(lambda c: c != text[at]))
    assert code_of(SEALER.open, Token, text[:at] + new + text[at + 1 :], NOW) == "bad_token"


@given(st.text())
def test_any_text_is_refused_by_name(text: str) -> None:
    assert code_of(SEALER.open, Token, text, NOW) == "bad_token"
    with pytest.raises(AppError):
        read_response(text)


def test_a_response_shows_that_the_key_is_held() -> None:
    found = SEALER.check_response(response(SIGNER, challenge()), SIGNER.public, NOW)
    assert found.kid == SIGNER.kid


def test_responses_that_show_nothing() -> None:
    check = SEALER.check_response
    assert code_of(check, response(SIGNER, challenge(), aud="ledger.example/x"), SIGNER.public, NOW) == "wrong_ledger"
    assert code_of(check, response(SIGNER, challenge(), typ="x+jws"), SIGNER.public, NOW) == "bad_jws"
    assert code_of(check, response(SIGNER, challenge()), SIGNER.public, NOW + 900) == "token_expired"
    assert code_of(check, response(OTHER, challenge()), OTHER.public, NOW) == "bad_token"
    assert code_of(check, response(SIGNER, SEALER.seal(TOKEN)), SIGNER.public, NOW) == "bad_token"
    head, body, _ = response(SIGNER, challenge()).split(".")
    forged = response(OTHER, challenge()).split(".")[2]
    assert code_of(check, f"{head}.{body}.{forged}", SIGNER.public, NOW) == "bad_signature"
