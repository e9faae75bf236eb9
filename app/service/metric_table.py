"""Every metric of the service; `docs/operate/metrics.md` shows this table. No label names a person, case or deposit.

Ages are in seconds and counted here, so that an alert does not depend on the clock of whoever reads them. What does not
exist yet (a round of anchors, a pass of the scrub) has no sample.
"""

from app.service.exposition import Metric, Type


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(name=f"muniment_{name}", type=Type.GAUGE, help=help, labels=labels)


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(name=f"muniment_{name}_total", type=Type.COUNTER, help=help, labels=labels)


INFO = _gauge("info", "1; the label says which version runs.", "version")
CLOCK = _gauge("clock_seconds", "The service's clock, Unix seconds.")
INCOMPLETE = _gauge("metrics_incomplete", "1 where a part of this page could not be read in time, else 0.", "part")
STORE_UP = _gauge("store_up", "1 if the store (records, blobs) answered within five seconds, else 0.", "store")

LEDGER = _gauge(
    "ledger_entries", "Entries of the ledger as this process knows it: the newest signed checkpoint's size."
)
STOPPED = _gauge("sequencer_stopped", "1 while this process cannot append and waits for the store, else 0.")
PUBLISHED = _gauge("published_entries", "Size of the newest published checkpoint.")
PUBLISHED_AGE = _gauge(
    "published_age_seconds",
    "Since this process last published a larger checkpoint; without news nothing is published, so compare the sizes.",
)
QUORUM = _gauge("published_quorum_met", "1 if the published checkpoint has its quorum of witnesses, else 0.")
WITNESS = _gauge("witness_cosigned", "1 if the published checkpoint has this witness's cosignature, else 0.", "witness")
WITNESS_AGE = _gauge(
    "witness_age_seconds", "Since the newest cosignature of this witness that was seen on a checkpoint.", "witness"
)

ANCHOR_ROUND_AGE = _gauge("anchor_round_age_seconds", "Since the newest round of anchors began.")
ANCHOR_ROUNDS_OPEN = _gauge("anchor_rounds_open", "Rounds of anchors that still lack something.")
UNANCHORED_AGE = _gauge(
    "unanchored_age_seconds",
    "Since the oldest checkpoint was taken that no later one covers with this form on the ledger (rfc3161: enough "
    "time-stamps, opentimestamps: a Bitcoin block); 0 if all are covered.",
    "form",
)
ANCHOR_SOURCE_AGE = _gauge(
    "anchor_source_age_seconds",
    "Since the newest remembered round began in which this authority, calendar or Bitcoin gave what it was asked for.",
    "source",
)
ANCHOR_FAILING = _gauge(
    "anchor_failing", "How often in a row this source failed in the round of anchors that asked it last.", "source"
)
ANCHOR_FAILURES = _counter(
    "anchor_failures",
    "Failures of anchoring by source (an authority's name, a calendar's address, bitcoin, ledger, scheduler) and code.",
    "source",
    "code",
)

LOCKS_DUE = _gauge("locks_due", "Locks and holds that the store does not have yet as they must be (up to 1,000).")
LOCKS_OLDEST = _gauge("locks_oldest_seconds", "Since the oldest of them is due; 0 if none is.")
LOCKS_LATE = _gauge("locks_late", "1 if one is due for an hour, else 0.")

SCRUB_AGE = _gauge("scrub_age_seconds", "Since the newest pass of the scrub began.")
SCRUB_RUNNING = _gauge("scrub_running", "1 while a pass goes on (in any process), else 0.")
SCRUB_ENTRIES = _gauge("scrub_entries", "Entries that the newest pass has read again.")
SCRUB_FINDINGS = _gauge("scrub_findings", "Findings of the newest pass and of the one before it together.")

ACCEPTED = _counter(
    "statements_accepted",
    "Statements that this process brought onto the ledger, by kind; `deposit` for deposits.",
    "kind",
)
UPLOADS_BEGUN = _counter("uploads_begun", "Uploads that were begun at this process.")
UPLOADS_OPEN = _gauge(
    "uploads_open",
    "Uploads without a deposit that were not ended, as the last daily sweep of this process counted them.",
)
CERTIFICATES = _counter("certificates_issued", "Sealed documents issued by this process: certificates and reports.")
CERTIFICATES_OPEN = _counter(
    "certificates_not_closed", "Those of them that were issued without the status of certificates, to be closed later."
)
CERTIFICATES_FAILED = _counter(
    "certificates_failed", "Documents that could not be sealed, by the problem's code.", "code"
)

REQUESTS = _counter(
    "requests",
    "Requests answered, by method, route (with {placeholders}) and class of status.",
    "method",
    "route",
    "status",
)
REQUEST_SECONDS = Metric(
    name="muniment_request_seconds",
    type=Type.HISTOGRAM,
    labels=("route",),
    help="Time from a request's head to the end of its handling, its body's arrival included.",
)

METRICS: tuple[Metric, ...] = tuple(each for each in dict(globals()).values() if isinstance(each, Metric))
