"""The ledger op of the vectors: steps over the aggregates of app.panels, each kept as JSON text between steps."""

import json
from typing import Any

from app.panels import admission, admission_release
from app.panels.errors import PanelError
from app.panels.header import roster_hash
from app.panels.release_states import CapsuleState, RequestState
from app.panels.states import PanelState, SessionState

Json = dict[str, Any]


class Store:
    """Keeps each aggregate as a service would: one JSON text a key, read back before every step."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, bytes], str] = {}

    def save(self, key: bytes, state: PanelState | SessionState | CapsuleState | RequestState) -> None:
        text = json.dumps(state.to_json())
        assert type(state).from_json(json.loads(text)) == state
        self._texts[type(state).__name__, key] = text

    def panel(self, key: bytes) -> PanelState:
        text = self._texts.get(("PanelState", key))
        return PanelState.from_json(json.loads(text)) if text else admission.new_panel(key)

    def panels(self) -> list[PanelState]:
        return [self.panel(key) for name, key in self._texts if name == "PanelState"]

    def session(self, key: bytes) -> SessionState | None:
        text = self._texts.get(("SessionState", key))
        return SessionState.from_json(json.loads(text)) if text else None

    def capsule(self, key: bytes) -> CapsuleState | None:
        text = self._texts.get(("CapsuleState", key))
        return CapsuleState.from_json(json.loads(text)) if text else None

    def request(self, key: bytes) -> RequestState | None:
        text = self._texts.get(("RequestState", key))
        return RequestState.from_json(json.loads(text)) if text else None

    def everything(self) -> dict[tuple[str, bytes], str]:
        return dict(self._texts)


def run_steps(inputs: Json) -> Json:
    """Every step but the last succeeds, or fails with its "error" and changes nothing; the last gives the outcome."""
    store = Store()
    *before, last = inputs["steps"]
    for number, one in enumerate(before):
        held, got = store.everything(), None
        try:
            step(store, one)
        except PanelError as error:
            got = error.code
            assert store.everything() == held
        assert got == one.get("error"), f"step {number}, {one['do']}"
    return step(store, last)


def step(store: Store, one: Json) -> Json:
    """Load what the step names, decide, save what it returned."""
    b = {key: bytes.fromhex(value) for key, value in one.items() if isinstance(value, str) and key not in _WORDS}
    match one["do"]:
        case "approve_roster":
            approved = roster_hash(
                panel_id=b["panel_id"],
                epoch=one["epoch"],
                k=one["k"],
                n=one["n"],
                prev_epoch_id=b["prev_epoch_id"],
                cards=[bytes.fromhex(card) for card in one["cards"]],
            )
            store.save(b["panel_id"], admission.approve_roster(store.panel(b["panel_id"]), one["epoch"], approved))
        case "revoke":
            holding = [panel for panel in store.panels() if panel.epoch_of(b["epoch_id"])]
            panel = admission.revoke((holding or [admission.new_panel(bytes(32))])[0], b["epoch_id"], one["index"])
            store.save(panel.panel_id, panel)
        case "open_session":
            moved = admission.open_session(store.panel(b["header"][3:35]), b["header"])
            _save_moved(store, moved.panel, moved.session)
        case "deal":
            dealt = admission.deal(store.session(b["session"]), b["msg"])
            store.save(b["session"], dealt)
        case "ack":
            acknowledged = admission.ack(_panel_of(store, b["session"]), store.session(b["session"]), b["msg"])
            _save_moved(store, acknowledged.panel, acknowledged.session)
            return {"cert": acknowledged.certified.certificate.hex()} if acknowledged.certified else {}
        case "blame":
            blamed = admission.blame(_panel_of(store, b["session"]), store.session(b["session"]), b["msg"])
            _save_moved(store, blamed.panel, blamed.session)
        case "close":
            moved = admission.close(_panel_of(store, b["session"]), store.session(b["session"]))
            _save_moved(store, moved.panel, moved.session)
        case "request":
            names = ("deposit_id", "case_id", "manifest_hash", "public", "request")
            capsule = store.capsule(b["request"][34:66])
            asked = admission_release.request(store.panel(b["panel_id"]), capsule, **{name: b[name] for name in names})
            _save_asked(store, asked.capsule, asked.request)
            return {"request_hash": asked.request.req_hash.hex()}
        case "contribution":
            held = store.request(b["request_hash"])
            panel_id = held.release.record.panel_id if held else bytes(32)
            contributed = admission_release.contribution(store.panel(panel_id), held, b["contribution"])
            store.save(b["request_hash"], contributed)
        case "end_request":
            held = store.request(b["request_hash"])
            asked = admission_release.end_request(_capsule_of(store, held), held)
            _save_asked(store, asked.capsule, asked.request)
        case "opening":
            held = store.request(b["request_hash"])
            published = admission_release.opening(
                _capsule_of(store, held), held, one["indices"], b["opening"], b["box"]
            )
            _save_asked(store, published.capsule, published.request)
            return {"verdict": published.opened.verdict, "file_key": published.opened.file_key.hex()}
        case unknown:
            raise AssertionError(f"unknown step {unknown}")
    return {}


_WORDS = ("do", "error")


def _panel_of(store: Store, session: bytes) -> PanelState:
    held = store.session(session)
    return store.panel(held.session.header.panel_id if held else bytes(32))


def _capsule_of(store: Store, request: RequestState | None) -> CapsuleState | None:
    return store.capsule(request.release.public.ct_hash) if request else None


def _save_moved(store: Store, panel: PanelState, session: SessionState) -> None:
    store.save(panel.panel_id, panel)
    store.save(session.session.session, session)


def _save_asked(store: Store, capsule: CapsuleState, request: RequestState) -> None:
    store.save(capsule.ct_hash, capsule)
    store.save(request.req_hash, request)
