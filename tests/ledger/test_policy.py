"""Policies: the whole C2SP text, quorums, and what a note must carry."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Cosigner, Ed25519Cosigner, MLDSA44Cosigner
from ledger.errors import BadKey, BadSignature, LedgerError, Malformed, QuorumMissing
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner, SignatureLine
from ledger.policy import Policy


def ed25519(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


LOG = NoteSigner("log.example", ed25519(1))
OTHER_LOG = NoteSigner("other.example", ed25519(2))
WITNESSES: dict[str, Cosigner] = {
    "X1": Ed25519Cosigner("x1.example", ed25519(11)),
    "X2": MLDSA44Cosigner("x2.example", MLDSA44PrivateKey.from_seed_bytes(bytes([12]) * 32)),
    "X3": Ed25519Cosigner("x3.example", ed25519(13)),
    "Y1": Ed25519Cosigner("y1.example", ed25519(14)),
    "Y2": Ed25519Cosigner("y2.example", ed25519(15)),
}
LINES = "".join(f"witness {name} {witness.key.text}\n" for name, witness in WITNESSES.items())
FULL = f"""# who we believe
\tlog {LOG.key.text} https://log.example/\t

{LINES}group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 # is not a comment here
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".replace(" # is not a comment here", "")
CHECKPOINT = Checkpoint(origin="log.example", size=1, root=leaf_hash(b"x"))
SIGNED = sign_checkpoint(CHECKPOINT, LOG)


def cosigned(*names: str) -> str:
    return SIGNED + "".join(WITNESSES[name].cosign(CHECKPOINT, 1000 + at).text for at, name in enumerate(names))


def test_the_full_form_is_read() -> None:
    policy = Policy.parse(FULL)
    assert policy.log == LOG.key
    assert policy.origin == "log.example"
    assert policy.logs[0].url == "https://log.example/"
    assert [witness.name for witness in policy.witnesses] == list(WITNESSES)
    assert [(group.name, group.threshold, group.members) for group in policy.groups] == [
        ("X-witnesses", 2, ("X1", "X2", "X3")),
        ("Y-witnesses", 1, ("Y1", "Y2")),
        ("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    ]
    assert policy.quorum == "X-and-Y"


@given(st.sets(st.sampled_from(sorted(WITNESSES))))
def test_the_quorum_counts_as_written(names: set[str]) -> None:
    verified = Policy.parse(FULL).verify(cosigned(*sorted(names)))
    expected = len(names & {"X1", "X2", "X3"}) >= 2 and bool(names & {"Y1", "Y2"})
    assert verified.quorum_met is expected
    assert {cosigner.witness for cosigner in verified.cosigners} == names
    assert verified.checkpoint == CHECKPOINT
    if expected:
        verified.demand_quorum()
    else:
        with pytest.raises(QuorumMissing):
            verified.demand_quorum()


def test_one_witness_signing_twice_counts_once() -> None:
    policy = Policy.parse(f"log {LOG.key.text}\n{LINES}group g 2 X1 X3\nquorum g\n")
    verified = policy.verify(cosigned("X1", "X1"))
    assert not verified.quorum_met
    assert [(one.witness, one.time) for one in verified.cosigners] == [("X1", 1000)]


def test_quorum_none_counts_as_met_and_a_single_witness_is_a_quorum() -> None:
    assert Policy.parse(f"log {LOG.key.text}\nquorum none\n").verify(SIGNED).quorum_met
    single = Policy.parse(f"log {LOG.key.text}\n{LINES}quorum Y2\n")
    assert single.verify(cosigned("Y2")).quorum_met
    assert not single.verify(cosigned("Y1", "X1")).quorum_met


def test_unknown_lines_are_told() -> None:
    policy = Policy.parse(f"log {LOG.key.text}\nquorum none\n")
    stranger = SignatureLine(name="log.example", key_id=b"\0\0\0\1", signature=b"?")
    verified = policy.verify(SIGNED + stranger.text)
    assert verified.unknown_lines == (stranger,)


def test_a_bad_line_of_a_known_key_refuses_the_whole_note() -> None:
    policy = Policy.parse(FULL)
    line = WITNESSES["X1"].cosign(dataclasses.replace(CHECKPOINT, size=2), 1000)
    with pytest.raises(BadSignature, match=r"x1\.example"):
        policy.verify(cosigned("X2", "X3", "Y1") + line.text)
    short = SignatureLine(name=line.name, key_id=line.key_id, signature=b"x")
    with pytest.raises(BadSignature, match=r"x1\.example"):
        policy.verify(cosigned("X2", "X3", "Y1") + short.text)
    forged = SignatureLine(name="log.example", key_id=LOG.key.key_id, signature=bytes(64))
    with pytest.raises(BadSignature, match=r"log\.example"):
        policy.verify(SIGNED + forged.text)


def test_witnesses_alone_or_another_logs_key_do_not_make_a_checkpoint() -> None:
    policy = Policy.parse(f"log {LOG.key.text}\nlog {OTHER_LOG.key.text}\n{LINES}quorum none\n")
    lines = WITNESSES["X1"].cosign(CHECKPOINT, 5).text
    with pytest.raises(BadSignature, match="no log"):
        policy.verify(f"{CHECKPOINT.body}\n{lines}")
    with pytest.raises(BadSignature, match="no log"):
        policy.verify(OTHER_LOG.sign_note(CHECKPOINT.body))
    with pytest.raises(Malformed, match="2 logs"):
        assert policy.log
    assert policy.verify(SIGNED).checkpoint == CHECKPOINT


K = LOG.key.text
W = WITNESSES["X1"].key.text
SAME_KEY_AS_X1 = NoteSigner("log2.example", ed25519(11)).key.text
SAME_KEY_OTHER_NAME = Ed25519Cosigner("x9.example", ed25519(11)).key.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {K}\n",
        f"log {K}\nquorum none",
        f"log {K}\r\nquorum none\n",
        f"log {K}\nquorum none\nquorum none\n",
        f"log {K}\nquorum A\n",
        f"log {K}\nquorum\n",
        f"log {K}\nquorum none none\n",
        f"log {K} url more\nquorum none\n",
        "log\nquorum none\n",
        f"log {W}\nquorum none\n",
        f"log {K}\nlog {K}\nquorum none\n",
        f"log {K}\nwitness A {K}\nquorum none\n",
        f"log {K}\nwitness A {W}\nwitness A {WITNESSES['X3'].key.text}\nquorum none\n",
        f"log {K}\nwitness A {W}\nwitness B {SAME_KEY_OTHER_NAME}\nquorum none\n",
        f"log {SAME_KEY_AS_X1}\nwitness A {W}\nquorum none\n",
        f"log {K}\nwitness none {W}\nquorum none\n",
        f"log {K}\nwitness A\nquorum none\n",
        f"log {K}\nwitness A {W} url more\nquorum none\n",
        f"log {K}\nquorum A\nwitness A {W}\n",
        f"log {K}\ngroup G any A\nwitness A {W}\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G any A A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G any A\ngroup H any A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G any\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G 0 A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G 2 A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G 01 A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G +1 A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup G one A\nquorum G\n",
        f"log {K}\nwitness A {W}\ngroup A any A\nquorum A\n",
        f"log {K}\nwitness A {W}\ngroup none any A\nquorum none\n",
        f"log {K}\nwitness A {W}\ngroup G any none\nquorum G\n",
        f"Log {K}\nquorum none\n",
        f"log\u00a0{K}\nquorum none\n",
        f"log {K}\nquorum none\n\x0b\n",
        f"log {K}\nquorum none # no\n",
        f"log {K}\nquorum none\n# \x7f\n",
        f"log {K[:-1]}\nquorum none\n",
        f"log {K}\nquorum none\n# \ud800\n",
        f"log {K}\nquorum none\n#" + "x" * 1_000_000 + "\n",
    ],
)
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Policy.parse(text)


def test_a_weak_key_is_refused() -> None:
    weak = "weak.example+00000000+AQEA" + 40 * "A"
    with pytest.raises(BadKey, match=r"line 1: the key of weak\.example is the identity"):
        Policy.parse(f"log {weak}\nquorum none\n")


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(Malformed, match="line 3"):
        Policy.parse(f"log {K}\n\nquorum nobody\n")


@given(
    st.text()
    | st.lists(
        st.sampled_from(["log", "witness", "group", "quorum", " ", "\t", "\n", "A", "any", "1", K, W, "none", "#"]),
        max_size=40,
    ).map("".join)
)
def test_any_text_is_a_policy_or_refused_by_name(text: str) -> None:
    try:
        policy = Policy.parse(text)
    except LedgerError:
        return
    assert policy.quorum == "none" or policy.witnesses
