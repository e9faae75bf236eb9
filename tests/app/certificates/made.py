"""A certificate of the test world's deposit, and seals of a loopback authority."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from asn1crypto import x509

from app.certificates.annexes import make_annexes
from app.certificates.claims import Certificate, Identity, Office, PanelNamed
from app.certificates.facts import read_shown
from app.certificates.page import render, renderer
from app.certificates.sealing import load_seal
from app.demo.pki import LoopbackPki
from app.statements.prooffile import ProofFile, parse_proof_file
from tests.app.verify.proofs import Made, a_deposit

OFFICE = Office(
    name="Registry of the Court 法院登记处",
    responsible="Dr. A. Example",
    contact="registry@court.example",
    verify="https://court.example/verify",
)
NUMBER = "20270115-080000-33-a7cdc929"


@cache
def deposit() -> Made:
    return a_deposit()


@cache
def proof_bytes(*slots: str) -> bytes:
    return deposit().proof(slots or ("name", "sha256"))


def proof(*slots: str) -> ProofFile:
    return parse_proof_file(proof_bytes(*slots))


def certificate(of: ProofFile | None = None, **changes: Any) -> Certificate:
    shown = read_shown(of or proof())
    kinds, lang = changes.pop("annexes", ()), changes.get("lang", "en+zh")
    annexes = make_annexes(
        kinds, shown=shown, number=NUMBER, lang=lang, office=OFFICE, operator="the court", conflicts="none"
    )
    made = Certificate(
        renderer=renderer(),
        number=NUMBER,
        issued=deposit().world.now,
        zone=480,
        lang=lang,
        office=OFFICE,
        trust=deposit().trust.sha256,
        level="received",
        panels=tuple(PanelNamed(panel_id=each.panel_id, k=2, n=3) for each in shown.claims.capsules),
        identity=Identity(assurance="enrolled", subject=None, issuer=None),
        opened=None,
        annexes=annexes,
    )
    return replace(made, **changes)


@cache
def pages() -> bytes:
    return render(proof(), certificate())


@dataclass(frozen=True)
class Sealing:
    """What `seal` wants, from a loopback authority."""

    pki: LoopbackPki
    roots: tuple[x509.Certificate, ...]
    addresses: tuple[str, ...]
    signer: Any


def sealing(pki: LoopbackPki) -> Sealing:
    issued = pki.issue("Seal of the Court")
    return Sealing(
        pki=pki,
        roots=(x509.Certificate.load(pki.root_der),),
        addresses=tuple(each.url for each in pki.tsas),
        signer=load_seal(issued.key_pem(), issued.certificates_pem()),
    )
