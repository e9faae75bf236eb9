"""Write tests/vectors/proof/*.json: proof files with the answer that every verifier must give.

Run with `python -m tests.app.verify.make_vectors` from the project's root; the keys are those of the test world.
"""

import json
from pathlib import Path
from typing import Any

from app.canonical import format_json
from app.statements.disclosure import make_disclosure
from app.statements.trust import Trust
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Note
from tests.app.client.world_service import checkpoint_of, trust_of
from tests.app.rules.world import seed
from tests.app.verify.proofs import FILES, Made, a_deposit

FOLDER = Path(__file__).parents[2] / "vectors" / "proof"


def _cosigned(made: Made) -> tuple[str, Trust]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    witness = Ed25519Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(seed("witness")))
    note = Note.parse(checkpoint_of(made.world.entries))
    line = witness.cosign(made.state().checkpoint, made.world.now)
    trust = trust_of(made.world, more=f"witness w1 {witness.key.text}\n", quorum="w1")
    return Note(text=note.text, signatures=(*note.signatures, line)).format(), trust


def main() -> None:
    made = a_deposit()
    proof, (signed, demanding) = made.proof(), _cosigned(made)
    value = json.loads(proof)
    witnessed = made.proof(signed=signed, trust=demanding)

    def edited(**changes: Any) -> bytes:
        return format_json({**value, **changes}).encode()

    good = [data.hex() for data in FILES.values()]
    enrolment = value["signers"][-1]
    first = value["disclosures"][0]
    signature = value["statement"].rpartition(".")[2]
    forged = value["statement"].replace(signature, ("A" if signature[0] != "A" else "B") + signature[1:])
    extra = value["tlog_proof"].replace("\nindex", "\nextra AAAA\nindex")
    name_slot = made.inventory.item_slots(1).name
    rows: list[tuple[str, str, bytes, Trust, list[str], str, int | None, str]] = [
        ("valid", "all items disclosed, all files given", proof, made.trust, good, "verified", None, ""),
        ("valid-without-files", "the proof alone", proof, made.trust, [], "verified", None, ""),
        ("valid-sizes-only", "only sizes disclosed", made.proof(("size",)), made.trust, [], "verified", None, ""),
        ("valid-witnessed", "one cosignature, demanded", witnessed, demanding, good, "verified", None, ""),
        ("not-json", "the last brace is missing", proof[:-1], made.trust, [], "does_not_match", 1, "not_json"),
        (
            "final-newline",
            "a newline after the file",
            proof + b"\n",
            made.trust,
            [],
            "does_not_match",
            1,
            "not_canonical",
        ),
        (
            "not-canonical",
            "spaces between members",
            json.dumps(value, ensure_ascii=False).encode(),
            made.trust,
            [],
            "does_not_match",
            1,
            "not_canonical",
        ),
        ("unknown-key", "one key more", edited(more=1), made.trust, [], "does_not_match", 1, "wrong_keys"),
        (
            "disclosed-twice",
            "a disclosure stands twice",
            edited(disclosures=[first, first]),
            made.trust,
            [],
            "does_not_match",
            1,
            "bad_disclosure",
        ),
        (
            "not-a-deposit",
            "an enrolment instead of the deposit",
            edited(statement=enrolment["statement"]),
            made.trust,
            [],
            "does_not_match",
            2,
            "not_a_deposit",
        ),
        (
            "other-leaf",
            "another statement's leaf",
            edited(leaf=enrolment["leaf"]),
            made.trust,
            [],
            "does_not_match",
            3,
            "leaf_mismatch",
        ),
        (
            "statement-forged",
            "one letter of the signature",
            edited(statement=forged),
            made.trust,
            [],
            "does_not_match",
            3,
            "leaf_mismatch",
        ),
        (
            "other-place",
            "another leaf's inclusion proof",
            edited(tlog_proof=enrolment["tlog_proof"]),
            made.trust,
            [],
            "does_not_match",
            4,
            "bad_proof",
        ),
        (
            "extra-data",
            "an extra line in the tlog-proof",
            edited(tlog_proof=extra),
            made.trust,
            [],
            "does_not_match",
            4,
            "malformed",
        ),
        (
            "unknown-line",
            "a cosignature that the trust file does not know",
            witnessed,
            made.trust,
            [],
            "cannot_tell",
            5,
            "unknown_signature_line",
        ),
        ("no-quorum", "the demanded cosignature is missing", proof, demanding, [], "cannot_tell", 6, "quorum_missing"),
        (
            "no-genesis",
            "the signers begin after the genesis",
            edited(signers=value["signers"][1:]),
            made.trust,
            [],
            "does_not_match",
            7,
            "replay_refused",
        ),
        (
            "no-enrolment",
            "nothing enrols the signer",
            edited(signers=value["signers"][:-1]),
            made.trust,
            [],
            "does_not_match",
            7,
            "unknown_signer",
        ),
        (
            "manifest-changed",
            "one slot of the manifest",
            edited(manifest=value["manifest"].replace(name_slot, "A" * 43)),
            made.trust,
            [],
            "does_not_match",
            9,
            "manifest_mismatch",
        ),
        (
            "disclosure-forged",
            "another name under the same slot",
            edited(disclosures=[{**first, "disclosure": make_disclosure("forged.txt", bytes(16))}]),
            made.trust,
            [],
            "does_not_match",
            10,
            "disclosure_mismatch",
        ),
        (
            "anchor-unknown",
            "an anchor of a kind that is not defined",
            edited(anchors=[{"kind": "none"}]),
            made.trust,
            [],
            "cannot_tell",
            11,
            "unknown_anchor",
        ),
        (
            "file-differs",
            "one file was changed",
            proof,
            made.trust,
            [*good, b"changed".hex()],
            "does_not_match",
            12,
            "file_differs",
        ),
        (
            "digest-not-disclosed",
            "a file, and no SHA-256 to compare",
            made.proof(("name",)),
            made.trust,
            good,
            "cannot_tell",
            12,
            "not_disclosed",
        ),
    ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, description, data, trust, files, outcome, check, code in rows:
        text = json.dumps(
            {
                "description": description,
                "trust": trust.text,
                "proof": data.decode(),
                "files": files,
                "outcome": outcome,
                "check": check,
                "code": code,
            },
            ensure_ascii=False,
            indent=1,
        )
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
