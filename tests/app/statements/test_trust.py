"""The trust file: strict, and known to the first parser in full."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import format_json
from app.demo.pki import LoopbackPki
from app.errors import BadInput
from app.statements.keys import jwk_of
from app.statements.kinds import Authority
from app.statements.statement import Signer
from app.statements.trust import format_trust, parse_trust
from app.statements.trust_seal import SealTrust, seal_json
from ledger.note import KeyType, VerifierKey

ORIGIN = "ledger.example/court"
KEYS = tuple(Signer(bytes([i]) * 32).public for i in range(3))


def policy_text() -> str:
    log = VerifierKey(name=ORIGIN, type=KeyType.ED25519, public_key=Signer(b"L" * 32).public)
    return f"log {log.text}\nquorum none\n"


def text() -> str:
    return format_trust(
        origin=ORIGIN, genesis=bytes(32), authority=Authority(keys=KEYS, m=2), policy_text=policy_text()
    )


def changed(**changes: Any) -> str:
    return format_json({**json.loads(text()), **changes})


def test_a_trust_file_is_read_back() -> None:
    trust = parse_trust(text())
    assert (trust.origin, trust.genesis, trust.authority.m, trust.authority.keys) == (ORIGIN, bytes(32), 2, KEYS)
    assert trust.policy.origin == ORIGIN
    assert parse_trust(text() + "\n").sha256 == trust.sha256


def test_the_roots_of_seals_are_read_and_nothing_else_is_taken() -> None:
    root = LoopbackPki("http://127.0.0.1:1").root
    value = seal_json(SealTrust(roots=(root,)))
    seal = parse_trust(changed(seal=value)).seal
    assert seal is not None
    assert seal.roots == (root,)
    (text,) = value["roots"]  # type: ignore[misc]
    for bad in ([], {}, {"roots": []}, {"roots": [text, text]}, {"roots": ["AAAA"]}, {"roots": [text + "AAAA"]}):
        with pytest.raises(BadInput):
            parse_trust(changed(seal=bad))
    with pytest.raises(BadInput):
        parse_trust(changed(witnesses=[]))
    with pytest.raises(BadInput):
        parse_trust(changed(seal=value, genesis="00"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": "muniment-trust/v2"}, "muniment-trust/v1"),
        ({"genesis": "00"}, "not 32"),
        ({"authority": {"keys": [jwk_of(bytes(32))], "m": 1}}, "order|identity|weak|small"),
        ({"authority": {"keys": [jwk_of(KEYS[0])], "m": 2}}, "m is 2"),
        ({"policy": "quorum none\n"}, "log"),
        ({"policy": "log nonsense\nquorum none\n"}, "policy"),
        ({"origin": "other.example"}, "names the log"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        parse_trust(changed(**changes))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_only_raise_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_trust(data)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_refused_or_read_as_another_trust(position: int, change: int) -> None:
    raw = bytearray(text().encode())
    raw[position % len(raw)] ^= change
    with contextlib.suppress(BadInput):
        assert parse_trust(bytes(raw)).sha256 != parse_trust(text()).sha256


# Time: authorities and headers


def timed(**changes: Any) -> str:
    from app.demo.calendar import BlockChain
    from app.demo.pki import LoopbackPki
    from app.statements.trust_time import TsaTrust, headers_json, make_authority, tsa_json

    pki = LoopbackPki("http://pki.example", clock=lambda: 1_700_000_000)
    chain = BlockChain(clock=lambda: 1_700_000_000)
    chain.extend(3)
    authorities = tuple(make_authority(each.name, [pki.root_der], each.name) for each in pki.tsas)
    return changed(
        tsa=tsa_json(TsaTrust(m=2, authorities=authorities)), headers=headers_json(chain.checkpoint, chain.raw)
    )


def test_authorities_and_headers_are_read_back() -> None:
    trust = parse_trust(timed())
    assert trust.tsa is not None
    assert (trust.tsa.m, [each.subject for each in trust.tsa.authorities]) == (2, ["Demo TSA 1", "Demo TSA 2"])
    assert len(trust.tsa.roots) == 1
    assert trust.headers is not None
    assert trust.headers.chain.tip == 3


@pytest.mark.parametrize(
    "edit",
    [
        lambda v: v["tsa"].update(m=0),
        lambda v: v["tsa"].update(m=3),
        lambda v: v["tsa"].update(authorities=[]),
        lambda v: v["tsa"].update(more=1),
        lambda v: v["tsa"]["authorities"][0].update(subject=None),
        lambda v: v["tsa"]["authorities"][0].update(subject="Demo TSA 2"),
        lambda v: v["tsa"]["authorities"][0].update(name="Demo TSA 2"),
        lambda v: v["tsa"]["authorities"][0].update(name=""),
        lambda v: v["tsa"]["authorities"][0].update(roots=[]),
        lambda v: v["tsa"]["authorities"][0].update(roots=["AAAA"]),
        lambda v: v["tsa"]["authorities"][0]["roots"].append(v["tsa"]["authorities"][0]["roots"][0]),
        lambda v: v["tsa"].update(authorities={}),
        lambda v: v["headers"].update(height=1, retarget=True),
        lambda v: v["headers"].update(height=-1),
        lambda v: v["headers"].update(hash="00" * 32),
        lambda v: v["headers"].update(hash="00"),
        lambda v: v["headers"].update(limit="1d00ffff"),
        lambda v: v["headers"].update(floor="21ffffff"),
        lambda v: v["headers"].update(retarget=1),
        lambda v: v["headers"].update(chain=v["headers"]["chain"][:-4]),
        lambda v: v["headers"].update(chain="A" * (4 * 80 * 8193 // 3)),
        lambda v: v["headers"].pop("chain"),
        lambda v: v.update(tsa=[]),
        lambda v: v.update(headers={}),
    ],
)
def test_authorities_and_headers_that_do_not_fit_are_refused(edit: Any) -> None:
    value = json.loads(timed())
    edit(value)
    with pytest.raises(BadInput):
        parse_trust(format_json(value))
