"""What the remembered rounds of anchors say about their sources, as metrics. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from app.service import metric_table as table
from app.service.anchor_round import Round
from app.service.anchor_settings import AnchorTerms
from app.service.exposition import Sample, sample

BITCOIN, LEDGER, SCHEDULER = "bitcoin", "ledger", "scheduler"


def source_label(terms: AnchorTerms, source: str) -> str:
    """Who failed, of a bounded set: an authority, a calendar or an address of one; else it was about a block."""
    known = {each.name for each in terms.tsas} | {each.url for each in terms.calendars} | set(terms.addresses)
    return source if source in known or source in (LEDGER, SCHEDULER) else BITCOIN


def measure_anchors(
    terms: AnchorTerms, rounds: Sequence[Round], failures: Mapping[tuple[str, str], int], *, now: int
) -> list[Sample]:
    """Return the samples. `rounds` ascend; `failures` counts by source and code since this process began."""
    samples = [
        sample(table.ANCHOR_ROUNDS_OPEN, sum(not each.done for each in rounds)),
        *(sample(table.ANCHOR_FAILURES, count, *of) for of, count in sorted(failures.items())),
    ]
    if not rounds:
        return samples
    samples.append(sample(table.ANCHOR_ROUND_AGE, _age(rounds[-1].begun, now)))
    for form, there in (("rfc3161", terms.tsas), ("opentimestamps", terms.calendars)):
        if there:
            samples.append(sample(table.UNANCHORED_AGE, _unanchored(rounds, form, _needed(terms, form), now), form))
    for source in _sources(terms):
        answered = [each.begun for each in rounds if _answered(each, source)]
        if answered:
            samples.append(sample(table.ANCHOR_SOURCE_AGE, _age(max(answered), now), source))
        samples.append(sample(table.ANCHOR_FAILING, _failing(terms, rounds, source), source))
    return samples


def _sources(terms: AnchorTerms) -> tuple[str, ...]:
    names = [each.name for each in terms.tsas] + [each.url for each in terms.calendars]
    return tuple(dict.fromkeys([*names, *([BITCOIN] if terms.calendars else ())]))


def _answered(found: Round, source: str) -> bool:
    if source == BITCOIN:
        return bool(found.sources("opentimestamps"))
    return source in found.asked or source in found.sources("rfc3161")


def _failing(terms: AnchorTerms, rounds: Sequence[Round], source: str) -> int:
    """Failures in a row, in the newest round that asked this source and was answered or not."""
    for each in reversed(rounds):
        counts = [failure.count for failure in each.failures if source_label(terms, failure.source) == source]
        if counts:
            return max(counts)
        if _answered(each, source):
            return 0
    return 0


def _needed(terms: AnchorTerms, form: str) -> int:
    return terms.tsa_quorum if form == "rfc3161" else 1


def _unanchored(rounds: Sequence[Round], form: str, needed: int, now: int) -> int:
    covered = max((each.size for each in rounds if _entered(each, form) >= needed), default=0)
    return max((_age(each.begun, now) for each in rounds if each.size > covered), default=0)


def _entered(found: Round, form: str) -> int:
    return sum(1 for _ in _on_ledger(found, form))


def _on_ledger(found: Round, form: str) -> Iterator[str]:
    return (each.source for each in found.obtained if each.form == form and each.entered)


def _age(then: int, now: int) -> int:
    return max(0, now - then)
