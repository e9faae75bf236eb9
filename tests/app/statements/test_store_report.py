"""The signed report of a store audit: what a verifier accepts, and that nothing else passes."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from app.canonical import b64u_decode, b64u_encode, format_json
from app.errors import AppError, BadInput, CannotTell, Mismatch
from app.fields import read_record
from app.statements.keys import jwk_of
from app.statements.statement import Signer
from app.statements.store_report import (
    FORMAT,
    MAX_FINDINGS,
    MAX_TEXT,
    TYP,
    Reported,
    StoreReport,
    check_report,
    is_report,
    parse_report,
    sign_report,
)
from app.statements.trust import Trust, parse_trust
from ledger.note import KeyType, VerifierKey
from tests.app.rules.world import seed
from tests.docs.make_report_vectors import registry, vector

VECTOR: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent.parent / "vectors" / "protocol" / "store_report.json").read_text()
)
SERVICE = Signer(seed("service"))


@cache
def made() -> tuple[StoreReport, Trust]:
    _, report, trust = registry()
    return report, parse_trust(trust)


def signed(payload: Any, *, typ: str = TYP, signer: Signer = SERVICE) -> str:
    return signer.sign_text(typ, payload if isinstance(payload, str) else format_json(payload))


def fields(**changes: Any) -> dict[str, Any]:
    return {"format": FORMAT, **VECTOR["report"], **changes}


def test_the_vector_is_what_the_code_makes_and_verifies() -> None:
    assert vector() == VECTOR
    parsed = parse_report(VECTOR["text"])
    assert parsed.report == read_record(StoreReport, VECTOR["report"]) == made()[0]
    verified = check_report(parsed, parse_trust(VECTOR["trust"]))
    assert verified.checkpoint.size == 1
    assert parse_report(VECTOR["text"] + "\n") == parsed
    assert is_report(VECTOR["text"].encode())
    assert (parsed.report.count, len(parsed.report.findings)) == (2, 2)


def test_the_header_and_payload_are_as_the_page_says() -> None:
    header, payload, signature = (b64u_decode(part, "a part") for part in VECTOR["text"].split("."))
    assert header.decode() == f'{{"alg":"Ed25519","kid":"{SERVICE.kid}","typ":"{TYP}"}}'
    assert payload.decode() == format_json(fields())
    assert len(signature) == 64


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("{}", "not_a_report"),
        ("[]", "not_a_report"),
        (fields(format="muniment-store-audit/v2"), "not_a_report"),
        ({**VECTOR["report"], "format": FORMAT}, "not_a_report"),
        (fields(extra=1), "bad_field"),
        ({name: each for name, each in fields().items() if name != "more"}, "bad_field"),
        (fields(finished=VECTOR["report"]["begun"] - 1), "bad_field"),
        (fields(more=1), "bad_field"),
        (fields(segments=-1), "integer_out_of_range"),
        (fields(segments=True), None),
        (fields(segments="7"), None),
        (fields(checkpoint="a\tb"), "bad_field"),
        (fields(findings=[VECTOR["report"]["findings"][0]] * (MAX_FINDINGS + 1)), None),
        (format_json(fields()) + " ", "not_canonical"),
        (format_json(fields()).replace('"more":0', '"more":0,"more":0'), "duplicate_key"),
        (format_json(fields()).replace('"more":0', '"more":0.0'), "not_json"),
        (format_json(fields()).replace('"more":0', '"more":NaN'), "not_json"),
    ],
)
def test_what_is_not_in_its_form_is_refused_though_it_is_signed(payload: Any, code: str | None) -> None:
    with pytest.raises(BadInput) as caught:
        parse_report(signed(payload))
    assert code is None or caught.value.code == code


def test_other_signed_texts_are_no_reports() -> None:
    with pytest.raises(BadInput) as caught:
        parse_report(signed(fields(), typ="muniment-statement+jws"))
    assert caught.value.code == "not_a_report"
    for text in ("", "a.b", "a.b.c.d", VECTOR["text"] + "\n\n", " " + VECTOR["text"], VECTOR["text"] + "=", "é.b.c"):
        with pytest.raises(BadInput):
            parse_report(text)


def test_a_report_of_another_registry_cannot_be_told() -> None:
    _, trust = made()
    with pytest.raises(CannotTell) as caught:
        check_report(parse_report(VECTOR["text"]), replace(trust, genesis=bytes(32)))
    assert caught.value.code == "other_ledger"


def test_another_key_of_the_registry_signs_no_report() -> None:
    _, trust = made()
    for name in ("log", "registrar", "authority1", "anybody"):
        with pytest.raises(Mismatch) as caught:
            check_report(parse_report(signed(fields(), signer=Signer(seed(name)))), trust)
        assert caught.value.code == "bad_signature"


def test_a_header_that_names_the_right_key_over_anothers_signature() -> None:
    other = signed(fields(), signer=Signer(seed("anybody"))).split(".")
    forged = ".".join([VECTOR["text"].split(".")[0], other[1], other[2]])
    with pytest.raises(Mismatch) as caught:
        check_report(parse_report(forged), made()[1])
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger": {"size": 2, "root": VECTOR["report"]["ledger"]["root"]}},
        {"ledger": {"size": 1, "root": "00" * 32}},
        {"checkpoint": VECTOR["report"]["checkpoint"].replace("\n1\n", "\n2\n")},
        {"checkpoint": "no note"},
    ],
)
def test_size_and_root_are_those_of_a_checkpoint_that_the_log_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(Mismatch) as caught:
        check_report(parse_report(signed(fields(**changes))), made()[1])
    assert caught.value.code in ("wrong_checkpoint", "bad_signature")


def test_a_quorum_that_is_missing_is_said() -> None:
    _, trust = made()
    key = trust.policy.logs[0].key.text
    other = VerifierKey(name="w1.example", type=KeyType.ED25519_COSIGNATURE, public_key=SERVICE.public).text
    text = VECTOR["trust"].replace(
        format_json(f"log {key}\nquorum none\n"), format_json(f"log {key}\nwitness w1 {other}\nquorum w1\n")
    )
    assert text != VECTOR["trust"]
    with pytest.raises(CannotTell) as caught:
        check_report(parse_report(VECTOR["text"]), parse_trust(text))
    assert caught.value.code == "quorum_missing"


def test_the_largest_report_can_be_signed_and_read() -> None:
    """A thousand findings are more than the JOSE library takes by itself."""
    report, trust = made()
    long = replace(report.findings[0], message="é" * MAX_TEXT, next_step="\N{GRINNING FACE}" * MAX_TEXT)
    whole = replace(report, findings=(long,) * MAX_FINDINGS, more=5)
    parsed = parse_report(sign_report(whole, SERVICE))
    check_report(parsed, trust)
    assert (parsed.report, parsed.report.count) == (whole, MAX_FINDINGS + 5)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_the_rooms_own_words(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_report(data)
    is_report(data)


@given(st.data())
def test_one_changed_byte_is_refused(data: st.DataObject) -> None:
    """In the text, or in the bytes that a part stands for."""
    text = VECTOR["text"]
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda each: each != text[at]))
        changed = text[:at] + other + text[at + 1 :]
    else:
        parts = text.split(".")
        which = data.draw(st.integers(0, 2))
        raw = bytearray(b64u_decode(parts[which], "a part"))
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        parts[which] = b64u_encode(bytes(raw))
        changed = ".".join(parts)
    with pytest.raises(AppError):
        check_report(parse_report(changed), made()[1])


TEXT = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
COUNT = st.integers(0, 2**53 - 1)
FINDING = st.builds(
    Reported,
    code=TEXT,
    place=TEXT,
    deposit=st.none() | st.binary(min_size=16, max_size=16),
    item=st.none() | COUNT,
    segment=st.none() | COUNT,
    start=st.none() | COUNT,
    end=st.none() | COUNT,
    message=TEXT,
    next_step=TEXT,
)


@given(st.lists(FINDING, max_size=4).map(tuple), COUNT, COUNT, st.none() | COUNT)
def test_what_is_signed_is_read_back(findings: tuple[Reported, ...], count: int, begun: int, rate: int | None) -> None:
    report = replace(
        made()[0], findings=findings, segments=count, begun=begun, finished=2**53 - 1, bytes_per_second=rate
    )
    parsed = parse_report(sign_report(report, SERVICE))
    assert parsed.report == report
    check_report(parsed, made()[1])


def test_the_library_alone_would_refuse_a_long_report() -> None:
    """Why `check_report` brings a registry of its own: without it the largest report could not be checked."""
    report, _ = made()
    long = sign_report(replace(report, findings=report.findings[:1] * MAX_FINDINGS), SERVICE)
    with pytest.raises(JoseError):
        jws.deserialize_compact(long, OKPKey.import_key(dict(jwk_of(SERVICE.public))), algorithms=["Ed25519"])
