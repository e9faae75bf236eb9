"""Verdicts as people read them."""

import argparse
from typing import TYPE_CHECKING

from app.cli.output import human_size

if TYPE_CHECKING:
    from app.certificates.judging import Judged
    from app.verify.certificate import CertificateVerdict
    from app.verify.document import DocumentVerdict
    from app.verify.verdict import Verdict

_HEADS = {"verified": "VERIFIED", "does_not_match": "DOES NOT MATCH", "cannot_tell": "CANNOT TELL"}


def head(outcome: str) -> str:
    """The answer in capitals."""
    return _HEADS[outcome]


def proof_lines(args: argparse.Namespace, verdict: "Verdict") -> list[str]:
    """What `muniment verify` prints of a proof file."""
    from app.verify.verdict import CANNOT_SHOW, Outcome  # noqa: PLC0415
    from app.verify.words import bracket_lines, identity_lines, level_lines, time_text  # noqa: PLC0415

    lines = [f"{head(verdict.outcome.value)}  {args.proof}", f"  level: {verdict.level.value}"]
    if verdict.outcome is Outcome.VERIFIED:
        lines.extend(f"    {each}" for each in level_lines(verdict))
        lines.extend(f"  {each}" for each in bracket_lines(verdict))
    lines.append(f"  trust file: {args.trust}, SHA-256 {verdict.trust_sha256}")
    for check in verdict.checks:
        lines.append(f"  {check.number:2} {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
        if not check.passed:
            lines.append(f"          [{check.code}] {check.next_step}")
    if verdict.outcome is not Outcome.VERIFIED:
        return lines
    when = time_text(verdict.time or 0)
    lines.append(f"  deposited by {verdict.depositor_name} ({verdict.depositor}), {when} by the registry's clock")
    lines.extend(f"  {each}" for each in identity_lines(verdict))
    lines.append(f"  deposit {verdict.deposit_id} in case {verdict.case_id} on {verdict.origin}")
    for what, text in (("description", verdict.description), ("origin", verdict.provenance)):
        if text is not None:
            lines.append(f"  {what}: {text}")
    for item in verdict.items:
        size = "size not disclosed" if item.size is None else f"{human_size(item.size)} ({item.size})"
        found = [each.path for each in verdict.files if item.index in each.items]
        equal = f", equals {', '.join(found)}" if found else ""
        lines.append(
            f"  item {item.index}: {item.name or '(name not disclosed)'}, {item.type or 'type not disclosed'}, {size}"
        )
        lines.append(f"          SHA-256 {item.sha256 or 'not disclosed'}{equal}")
    lines.append("  This file cannot show:")
    lines.extend(f"    - {each}" for each in CANNOT_SHOW)
    return lines


def certificate_lines(args: argparse.Namespace, verdict: "CertificateVerdict") -> list[str]:
    """What `muniment verify` prints of a certificate: its own checks, then those of the proof in it."""
    lines = [f"{head(verdict.outcome.value)}  {args.proof}"]
    certificate, judged = verdict.certificate, verdict.judged
    if certificate is not None:
        lines.append(f"  certificate {certificate.number}, issued by {certificate.office.name}")
        lines.append(f"  level at issue, by the office's word: {certificate.level}")
    for check in verdict.checks:
        lines.append(f"  {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
        if not check.passed:
            lines.append(f"       [{check.code}] {check.next_step}")
    lines += _seal_lines(judged)
    if verdict.proof is not None:
        lines += ["", "The proof in it:", *(f"  {each}" for each in proof_lines(args, verdict.proof))]
    return lines


def document_lines(args: argparse.Namespace, verdict: "DocumentVerdict") -> list[str]:
    """What `muniment verify` prints of a sealed document."""
    lines = [f"{head(verdict.outcome.value)}  {args.proof}"]
    words = verdict.words
    if words is not None:
        what = "release record" if words.kind == "record" else "report of a store audit"
        lines.append(f"  {what} {words.number}, sealed by {words.office.name}; SHA-256 {words.sha256.hex()}")
    for check in verdict.checks:
        lines.append(f"  {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
        if not check.passed:
            lines.append(f"       [{check.code}] {check.next_step}")
    return lines + _seal_lines(verdict.judged)


def _seal_lines(judged: "Judged | None") -> list[str]:
    from app.verify.words import time_text  # noqa: PLC0415

    if judged is None:
        return []
    return [
        f"  sealed by {judged.subject}",
        f"  before {time_text(judged.sealed_at)}, says {judged.sealed_by}",
        f"  stamped last at {time_text(judged.closed_at)} by {judged.closed_by}; whether that authority's",
        "  certificate was revoked since was not checked, since this is done without a network",
        f"  good until {time_text(judged.good_until)} unless it is renewed before",
    ]
