"""Who a node or a user is: an ed25519 key made from a seed file, and what is signed by and sealed to it.

The seed leaves its file only into this object: never into a text, a log or an error.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import base58
from attrs import field, frozen
from nacl.exceptions import CryptoError
from nacl.public import SealedBox
from nacl.signing import SigningKey, VerifyKey

from zosfsm.grid.errors import IdentityInvalid, SecretUnreadable, shown
from zosfsm.grid.scalars import identifier_key

SEED_BYTES = 32
_LONGEST_SEALED = 4096


@frozen
class Identity:
    """A signing identity; `identifier` is the node or user id: base58 of the public key."""

    _key: SigningKey = field(repr=False)
    identifier: str

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        if len(seed) != SEED_BYTES:
            raise IdentityInvalid(f"expected a seed of {SEED_BYTES} bytes, found {len(seed)}")
        key = SigningKey(seed)
        return cls(key, base58.b58encode(bytes(key.verify_key)).decode("ascii"))

    @classmethod
    def load_or_create(cls, path: Path | str) -> Identity:
        """The identity whose seed is in this file (32 bytes); a file that does not exist is made, once.

        Raises IdentityInvalid; a file that is not a seed is never overwritten, since it may be all that is left of one.
        """
        where = Path(path)
        try:
            if not where.exists():
                _create_seed(where)
            return cls.from_seed(_read_seed(where))
        except OSError as error:
            raise IdentityInvalid(
                f"expected a seed file at {where}, found that it cannot be read or made: {error.strerror}"
            ) from error

    def sign(self, content: bytes) -> bytes:
        """The raw signature, 64 bytes (RFC 8032)."""
        return self._key.sign(content).signature

    def unseal(self, ciphertext: str) -> str:
        """Opens a sealed box, given in hex, that was made for this identity. Raises SecretUnreadable."""
        try:
            sealed = bytes.fromhex(ciphertext) if len(ciphertext) <= _LONGEST_SEALED else b""
            return SealedBox(self._key.to_curve25519_private_key()).decrypt(sealed).decode("utf-8")
        except (ValueError, TypeError, CryptoError):
            raise SecretUnreadable(
                f"expected a secret sealed to {self.identifier}, found one that its key does not open"
            ) from None


def verify(identifier: str, content: bytes, signature: bytes) -> bool:
    """Whether this identity signed this content; anything malformed is a no."""
    try:
        VerifyKey(identifier_key(identifier)).verify(content, signature)
    except (ValueError, TypeError, CryptoError):
        return False
    return True


def seal_to(identifier: str, text: str) -> str:
    """A sealed box, in hex, that only this identity opens. Raises IdentityInvalid."""
    try:
        key = VerifyKey(identifier_key(identifier)).to_curve25519_public_key()
    except (ValueError, TypeError, CryptoError):
        raise IdentityInvalid(f"expected the identifier of an ed25519 key, found {shown(identifier)}") from None
    return SealedBox(key).encrypt(text.encode("utf-8")).hex()


def _read_seed(path: Path) -> bytes:
    with path.open("rb") as file:
        seed = file.read(SEED_BYTES + 1)
    if len(seed) != SEED_BYTES:
        size = f"{len(seed)} bytes" if len(seed) < SEED_BYTES else "more"
        raise IdentityInvalid(
            f"expected a seed of {SEED_BYTES} bytes in {path}, found {size}; "
            "restore the file, or remove it to begin anew"
        )
    # What some filesystems leave after a power cut.
    if not any(seed):
        raise IdentityInvalid(
            f"expected a seed in {path}, found only zeros; restore the file, or remove it to begin anew"
        )
    return seed


def _create_seed(path: Path) -> None:
    """All or nothing: the file appears complete and durable; whoever comes second keeps the first one's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SEED_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
