"""A certificate authority of the tests' own, by the openssl command, and the certificates that it issues."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """Issues certificates into `directory`; `certificate` is its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "authority.pem"
        self._key = directory / "authority.key"
        self._openssl(
            "req",
            "-x509",
            *_NEW_KEY,
            "-keyout",
            str(self._key),
            "-out",
            str(self.certificate),
            "-subj",
            "/CN=authority",
        )

    def serving(self, names: str, days: int = 30) -> ssl.SSLContext:
        """What a server needs that shows a certificate for these names (`DNS:grid.example,IP:127.0.0.1`)."""
        stem = self._directory / str(len(list(self._directory.iterdir())))
        request, extensions, key, certificate = (stem.with_suffix(end) for end in (".csr", ".ext", ".key", ".pem"))
        extensions.write_text(f"subjectAltName={names}")
        self._openssl("req", *_NEW_KEY, "-keyout", str(key), "-out", str(request), "-subj", "/CN=server")
        own = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-days", str(days), "-extfile", str(extensions)]
        self._openssl("x509", "-req", "-in", str(request), "-out", str(certificate), *own)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def trusting(self) -> ssl.SSLContext:
        """What a client needs that believes this authority and nobody else."""
        return ssl.create_default_context(cafile=self.certificate)

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
