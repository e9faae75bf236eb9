"""Small age files: round trips, refusals, and the stock `age` tool in both directions."""

import hashlib
import io
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import AppError, BadInput, Mismatch
from app.sealing import bech32
from app.sealing.age import decrypt_bytes, encrypt_bytes
from app.sealing.bech32 import bech32_decode, bech32_encode
from app.sealing.header import Stanza, b64_encode, read_header, seal_header
from app.sealing.hybrid import PqIdentity, PqRecipient
from app.sealing.scrypt import Passphrase
from app.sealing.stream import CHUNK_BYTES, chunk_nonce, payload_cipher, plain_size, sealed_size
from app.sealing.x25519 import Identity, Recipient

SIZES = [0, 1, 65535, 65536, 65537, 131072]


def seeded(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


ME = Identity.generate(seeded(1))
OTHER = Identity.generate(seeded(2))
PQ = PqIdentity.generate(seeded(3))
PQ_OTHER = PqIdentity.generate(seeded(4))
FILE_KEY = bytes(range(16))
NONCE = bytes(range(100, 116))


def identity_file(folder: Path) -> Path:
    path = folder / "identity.txt"
    path.write_text(ME.format() + "\n")
    return path


def age(*args: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["age", *map(str, args)], input=data, capture_output=True, check=False)


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_and_known_size(size: int) -> None:
    data = seeded(size)(size)
    sealed = encrypt_bytes(data, [ME.recipient], seeded(9))
    assert len(sealed) == 168 + 16 + sealed_size(size)
    assert plain_size(len(sealed) - 184) == size
    assert decrypt_bytes(sealed, [OTHER, ME]) == data
    assert sealed == encrypt_bytes(data, [ME.recipient], seeded(9))


def test_sizes_that_no_payload_has() -> None:
    assert [plain_size(n) for n in (0, 15, 16, 17, 65552, 65553, 65568, 65569)] == [
        *(None, None, 0, 1, 65536, None, None, 65537)
    ]


def test_several_recipients_each_open() -> None:
    sealed = encrypt_bytes(b"words", [ME.recipient, OTHER.recipient], seeded(1))
    assert decrypt_bytes(sealed, [ME]) == decrypt_bytes(sealed, [OTHER]) == b"words"
    noted = encrypt_bytes(b"words", [PQ.recipient, PQ_OTHER.recipient], seeded(1))
    assert decrypt_bytes(noted, [PQ]) == decrypt_bytes(noted, [PQ_OTHER]) == b"words"


def test_wrong_key_and_wrong_passphrase() -> None:
    for sealed, wrong in (
        (encrypt_bytes(b"x", [ME.recipient], seeded(1)), OTHER),
        (encrypt_bytes(b"x", [PQ.recipient], seeded(1)), PQ_OTHER),
        (encrypt_bytes(b"x", [Passphrase("right", log_n=4)], seeded(1)), Passphrase("wrong")),
    ):
        with pytest.raises(Mismatch) as caught:
            decrypt_bytes(sealed, [wrong])
        assert caught.value.code == "no_matching_key"


@pytest.mark.parametrize(
    "recipients",
    [
        [ME.recipient, PQ.recipient],
        [Passphrase("a", log_n=1), ME.recipient],
        [Passphrase("a", log_n=1), PQ.recipient],
        [Passphrase("a", log_n=1), Passphrase("b", log_n=1)],
    ],
)
def test_mixed_recipients_are_refused(recipients: list[Recipient | PqRecipient | Passphrase]) -> None:
    with pytest.raises(BadInput) as caught:
        encrypt_bytes(b"x", recipients, seeded(1))
    assert caught.value.code == "mixed_recipients"


def test_no_recipient_is_refused() -> None:
    with pytest.raises(BadInput):
        encrypt_bytes(b"x", [], seeded(1))


def test_passphrase_work_factor_is_bounded() -> None:
    sealed = encrypt_bytes(b"x", [Passphrase("p", log_n=5)], seeded(1))
    with pytest.raises(BadInput) as caught:
        decrypt_bytes(sealed, [Passphrase("p", log_n=4, max_log_n=4)])
    assert caught.value.code == "bad_age_header"
    with pytest.raises(BadInput):
        Passphrase("")


def test_secrets_do_not_show_in_repr() -> None:
    for secret in (ME, PQ, Passphrase("open sesame")):
        shown = repr(secret)
        assert "sesame" not in shown
        assert ME.secret.hex() not in shown
        assert str(ME.secret) not in shown
        assert str(PQ.seed) not in shown


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_only_our_errors(data: bytes) -> None:
    with pytest.raises(AppError):
        decrypt_bytes(data, [ME])
    with pytest.raises(AppError):
        decrypt_bytes(b"age-encryption.org/v1\n" + data, [ME])


VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
STANZAS = st.builds(
    lambda kind, arguments, body: Stanza(type=kind, arguments=tuple(arguments), body=body),
    VISIBLE,
    st.lists(VISIBLE, max_size=3),
    st.binary(max_size=200),
)


@given(st.lists(STANZAS, min_size=1, max_size=5).map(tuple), st.binary(max_size=20))
def test_a_header_is_read_as_it_was_written(stanzas: tuple[Stanza, ...], payload: bytes) -> None:
    source = io.BytesIO(seal_header(FILE_KEY, stanzas) + payload)
    header = read_header(source)
    assert header.stanzas == stanzas
    assert source.read() == payload
    assert seal_header(FILE_KEY, header.stanzas).endswith(b"--- " + b64_encode(header.mac) + b"\n")


def test_headers_out_of_bounds_are_refused() -> None:
    many = seal_header(FILE_KEY, tuple(Stanza(type="x", arguments=(), body=b"") for _ in range(257)))
    large = seal_header(FILE_KEY, (Stanza(type="x", arguments=(), body=bytes(2**20)),))
    wide = seal_header(FILE_KEY, (Stanza(type="x" * 9000, arguments=(), body=b""),))
    for bad in (many, large, wide, b"age-encryption.org/v1\n--- " + b"A" * 43 + b"\n"):
        with pytest.raises(BadInput) as caught:
            read_header(io.BytesIO(bad))
        assert caught.value.code == "bad_age_header"


@settings(max_examples=300)
@given(st.data())
def test_one_flipped_bit_is_refused(data: st.DataObject) -> None:
    sealed = bytearray(encrypt_bytes(b"the words of the note", [ME.recipient], seeded(1)))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(AppError):
        decrypt_bytes(bytes(sealed), [ME])


@given(st.binary(max_size=100), st.sampled_from(["age", "age-secret-key-", "age1pq"]))
def test_bech32_round_trip_and_one_wrong_letter(data: bytes, prefix: str) -> None:
    text = bech32_encode(prefix, data)
    assert bech32_decode(text, prefix, "it") == data
    assert bech32_decode(text.upper(), prefix, "it", upper=True) == data
    wrong = text[:-1] + ("q" if text[-1] != "q" else "p")
    for bad in (wrong, text.upper(), text[:-1], text + "q", "x" + text, text[:-1] + "b", text[:-1] + "é", ""):
        with pytest.raises(BadInput):
            bech32_decode(bad, prefix, "it")


def test_bech32_with_bits_left_over_is_refused() -> None:
    """Checksums are right here; only the padding is not: one byte is two letters with two zero bits at the end."""

    def text(values: list[int]) -> str:
        check = bech32._polymod([*bech32._expand("age"), *values, 0, 0, 0, 0, 0, 0]) ^ 1
        return "age1" + "".join(bech32._LETTERS[v] for v in [*values, *(check >> 5 * (5 - i) & 31 for i in range(6))])

    assert bech32_decode(text([31, 28]), "age", "it") == b"\xff"
    for values in ([31, 29], [31], [31, 28, 0]):
        with pytest.raises(BadInput, match="left over"):
            bech32_decode(text(values), "age", "it")


def test_key_texts() -> None:
    assert Recipient.parse(ME.recipient.format()) == ME.recipient
    assert Identity.parse(ME.format()) == ME
    assert PqRecipient.parse(PQ.recipient.format()) == PQ.recipient
    assert PqIdentity.parse(PQ.format()) == PQ
    assert ME.format().startswith("AGE-SECRET-KEY-1")
    assert PQ.format().startswith("AGE-SECRET-KEY-PQ-1")
    assert PQ.recipient.format().startswith("age1pq1")
    for parse, text in (
        (Identity.parse, PQ.format()),
        (PqIdentity.parse, ME.format()),
        (Recipient.parse, PQ.recipient.format()),
        (PqRecipient.parse, ME.recipient.format()),
        (Identity.parse, ME.format().lower()),
        (PqRecipient.parse, bech32_encode("age1pq", b"\xff" * 1216)),
        (PqRecipient.parse, bech32_encode("age1pq", bytes(1215))),
        (Recipient.parse, bech32_encode("age", bytes(31))),
    ):
        with pytest.raises(BadInput):
            parse(text)


def test_a_recipient_of_small_order_is_refused() -> None:
    with pytest.raises(BadInput):
        encrypt_bytes(b"x", [Recipient(bytes(32))], seeded(1))


@pytest.mark.foreign("age")
@pytest.mark.parametrize("size", SIZES)
def test_stock_age_reads_and_writes(size: int, tmp_path: Path) -> None:
    data = seeded(size)(size)
    read = age(
        "-d", "-i", identity_file(tmp_path), data=encrypt_bytes(data, [ME.recipient, OTHER.recipient], os.urandom)
    )
    assert (read.returncode, read.stdout) == (0, data)
    written = age("-r", ME.recipient.format(), "-r", OTHER.recipient.format(), data=data)
    assert decrypt_bytes(written.stdout, [ME]) == data


@pytest.mark.foreign("age")
def test_stock_age_reads_an_identity_under_our_passphrase(tmp_path: Path) -> None:
    """`age` asks for the passphrase on a terminal, so it is given one."""
    sealed = tmp_path / "sealed.age"
    sealed.write_bytes(encrypt_bytes(b"words", [Passphrase("correct horse", log_n=10)], os.urandom))
    out = tmp_path / "out"
    for passphrase, code in (("correct horse", 0), ("wrong", 1)):
        assert on_terminal(["age", "-d", "-o", str(out), str(sealed)], passphrase) == code
    assert out.read_bytes() == b"words"


@pytest.mark.foreign("age")
@pytest.mark.slow
def test_we_read_the_passphrase_file_of_stock_age(tmp_path: Path) -> None:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(b"words")
    assert on_terminal(["age", "-p", "-o", str(sealed), str(plain)], "correct horse", "correct horse") == 0
    assert decrypt_bytes(sealed.read_bytes(), [Passphrase("correct horse")]) == b"words"


def on_terminal(command: list[str], *answers: str) -> int:
    """Run a command on a pseudo-terminal, answer each prompt that ends in a colon, return its exit code."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)  # noqa: S606
    seen = b""
    waiting = list(answers)
    while True:
        try:
            seen += os.read(terminal, 1000)
        except OSError:  # Linux: the other side is closed
            break
        if waiting and seen.rstrip().endswith(b":"):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
            seen = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def craft(chunks: list[tuple[bytes, int, bool]], tail: bytes = b"") -> bytes:
    """A file whose chunks are written as told: plaintext, counter, final flag."""
    header = seal_header(FILE_KEY, (ME.recipient.wrap(FILE_KEY, seeded(5)),))
    cipher = payload_cipher(FILE_KEY, NONCE)
    return header + NONCE + b"".join(cipher.encrypt(chunk_nonce(i, f), p, None) for p, i, f in chunks) + tail


FULL = b"\x01" * CHUNK_BYTES
GOOD = craft([(FULL, 0, False), (FULL, 1, False), (b"end", 2, True)])
HEADER_BYTES = 168 + 16
SEALED = CHUNK_BYTES + 16


def flip_mac(file: bytes) -> bytes:
    at = file.index(b"\n--- ") + 8
    return file[:at] + (b"A" if file[at : at + 1] != b"A" else b"B") + file[at + 1 :]


NEGATIVES = {
    "empty final chunk after a full one": craft([(FULL, 0, False), (b"", 1, True)]),
    "no final flag": craft([(FULL, 0, False), (b"end", 1, False)]),
    "two finals": craft([(FULL, 0, True), (b"end", 1, True)]),
    "short middle chunk": craft([(b"short", 0, False), (b"end", 1, True)]),
    "counter from 1": craft([(FULL, 1, False), (b"end", 2, True)]),
    "swapped chunks": craft([(FULL, 1, False), (FULL, 0, False), (b"end", 2, True)]),
    "cut at the edge of a chunk": GOOD[: HEADER_BYTES + 2 * SEALED],
    "no chunk": craft([]),
    "oversize chunk": craft([(FULL + b"x", 0, True)]),
    "trailing byte": GOOD + b"\0",
    "empty chunk that is not the last": craft([(b"", 0, False), (b"end", 1, True)]),
    "a bit of the MAC": flip_mac(GOOD),
    "CRLF": GOOD[:168].replace(b"\n", b"\r\n") + GOOD[168:],
}


def test_the_crafted_file_itself_is_good() -> None:
    assert hashlib.sha256(decrypt_bytes(GOOD, [ME])).digest() == hashlib.sha256(FULL + FULL + b"end").digest()
    assert len(NEGATIVES) == 13


@pytest.mark.parametrize("name", NEGATIVES)
def test_negatives(name: str) -> None:
    with pytest.raises(AppError):
        decrypt_bytes(NEGATIVES[name], [ME])


@pytest.mark.foreign("age")
@pytest.mark.parametrize("name", NEGATIVES)
def test_stock_age_refuses_the_negatives_too(name: str, tmp_path: Path) -> None:
    assert age("-d", "-i", identity_file(tmp_path), data=GOOD).returncode == 0
    assert age("-d", "-i", identity_file(tmp_path), data=NEGATIVES[name]).returncode != 0
