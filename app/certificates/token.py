"""A seal's key on a token (PKCS #11: a smart card, a USB stick, an HSM), which it never leaves.

The PIN comes from an environment variable. A session serves one operation at a time; when one fails (the token was
taken out, its server began anew) it is tried once more in a new session.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from asn1crypto import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import CertificateStore

from app.certificates.tokenplace import Token
from app.errors import BadInput, Unreachable

log = logging.getLogger("muniment.certificates")
MAX_SIGNATURE_BYTES = 1_024
_TRIAL = b"muniment: is this the key of the seal's certificate?\n"


class TokenUnavailable(Unreachable):
    """The token does not sign now. Nothing was issued."""

    code = "seal_unavailable"


class TokenSigner(Signer):
    """pyHanko's signer over a key on a token."""

    def __init__(self, where: Token, pin: str, certificate: Certificate, above: CertificateStore) -> None:
        own = x509.Certificate.load(certificate.public_bytes(Encoding.DER))
        super().__init__(signing_cert=own, cert_registry=above)
        self._public = certificate.public_key()
        self._where, self._lock = where, threading.Lock()
        self._pin: str | None = pin
        self._session: Any = None

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """Sign on the token, beside the event loop. Raises TokenUnavailable."""
        if dry_run:
            return bytes(MAX_SIGNATURE_BYTES)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self.sign, data, digest_algorithm)
        except (TokenUnavailable, BadInput) as error:
            # Whoever asks for a certificate reads this: where the token is, and its PIN, are the operator's matter.
            log.warning("%s", error.message)
            raise TokenUnavailable(
                "the token with the seal's key does not sign now",
                "Nothing was issued. Ask again later; the registry's log says what is wrong with the token.",
            ) from error

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """Sign now. Raises TokenUnavailable; BadInput (bad_seal, bad_setting) for what no waiting mends."""
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415

        with self._lock:
            try:
                return self._sign(data, digest_algorithm)
            except PKCS11Error:
                self.close()
            try:
                return self._sign(data, digest_algorithm)
            except PKCS11Error as error:
                raise TokenUnavailable(
                    f"{self._where} does not sign: {type(error).__name__} {error}".rstrip(),
                    "Nothing was issued. See that the token is in place, and ask again.",
                ) from error

    def close(self) -> None:
        """End the session, if there is one."""
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415

        session, self._session = self._session, None
        if session is not None:
            with suppress(PKCS11Error):
                session.close()

    def _sign(self, data: bytes, digest_algorithm: str) -> bytes:
        if self._session is None:
            self._open()
        return self._with_key(data, digest_algorithm)

    def _open(self) -> None:
        """Begin a session, and see that the key is that of the certificate."""
        from pkcs11.exceptions import PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked  # noqa: PLC0415
        from pyhanko.config.pkcs11 import TokenCriteria  # noqa: PLC0415
        from pyhanko.sign.pkcs11 import open_pkcs11_session  # noqa: PLC0415

        if self._pin is None:
            raise self._bad_pin("refused before")
        if not self._where.module.exists():
            raise BadInput(
                f"the PKCS #11 module {self._where.module} is not there",
                "Name the library that came with the token.",
                code="bad_setting",
            )
        try:
            self._session = open_pkcs11_session(
                str(self._where.module), token_criteria=TokenCriteria(label=self._where.token), user_pin=self._pin
            )
        except (PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked) as error:
            self._pin = None  # a token locks itself after a few tries: not one more
            raise self._bad_pin(type(error).__name__) from error
        try:
            _verify(self._public, self._with_key(_TRIAL, "sha256"))
        except (InvalidSignature, TypeError) as error:
            self.close()
            raise BadInput(
                f"{self._where} is not that of the seal's first certificate",
                "Put the seal's own certificate first, then the authorities above it; check the label.",
                code="bad_seal",
            ) from error

    def _with_key(self, data: bytes, digest_algorithm: str) -> bytes:
        from pkcs11 import Attribute, ObjectClass  # noqa: PLC0415
        from pyhanko.sign.pkcs11 import select_pkcs11_signing_params  # noqa: PLC0415

        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: self._where.label}
        found = list(self._session.get_objects(wanted))
        if len(found) != 1:
            self.close()
            raise BadInput(
                f"the token {self._where.token!r} has {len(found)} private keys with the label {self._where.label!r}",
                "Name the seal's key by a label of its own.",
                code="bad_seal",
            )
        mechanism = self.get_signature_mechanism_for_digest(digest_algorithm)
        # Few tokens hash for ECDSA by themselves; RSA they do.
        raw = mechanism.signature_algo == "ecdsa"
        spec = select_pkcs11_signing_params(mechanism, digest_algorithm, use_raw_mechanism=raw, sign_kwargs={})
        given = data if spec.pre_sign_transform is None else spec.pre_sign_transform(data)
        signature = found[0].sign(given, **spec.sign_kwargs)
        return bytes(signature if spec.post_sign_transform is None else spec.post_sign_transform(signature))

    def _bad_pin(self, why: str) -> BadInput:
        return BadInput(
            f"the PIN of {self._where} is not accepted: {why}",
            f"Correct {self._where.pin_env}, unlock the token if need be, and start again; it is not tried once more.",
            code="bad_setting",
        )


def open_token(
    where: Token, certificate: Certificate, above: CertificateStore, *, environ: Mapping[str, str] = os.environ
) -> TokenSigner:
    """Return a signer that has signed once, or whose token is away now: then it says so in the log.

    Raises BadInput (bad_setting, bad_seal).
    """
    pin = environ.get(where.pin_env, "")
    if not pin:
        raise BadInput(
            f"the environment variable {where.pin_env}, which is to hold the PIN of {where}, is not set",
            "Set it for the service alone.",
            code="bad_setting",
        )
    if find_spec("pkcs11") is None:
        raise BadInput(
            f"{where} cannot be used: the program was installed without PKCS #11",
            "Install muniment[pkcs11].",
            code="bad_setting",
        )
    signer = TokenSigner(where, pin, certificate, above)
    try:
        signer.sign(_TRIAL, "sha256")
    except TokenUnavailable as error:
        log.warning("%s; no certificate is issued until it is back", error.message)
    return signer


def _verify(key: object, signature: bytes) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, _TRIAL, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, _TRIAL, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise TypeError(f"{type(key).__name__} is no key of a seal")
