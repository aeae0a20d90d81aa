"""Guarded HTTPS: the address is the guard's, name and certificate are checked as ever."""

import asyncio
import ssl
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.addresses import IPAddress
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.fetcher import GuardedFetcher
from codeforge.web.guard import AddressGuard
from tests.servers.site import Site


def test_tls_keeps_name_and_certificate_checks(tmp_path: Path) -> None:
    """A server with its own certificate for `secure.example`, which resolves to loopback."""
    subject = ["-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example"]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "1", "-keyout", str(key), "-out", str(certificate), *subject),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Site(tls=served) as site:
        url = f"https://secure.example:{site.port}/bread"
        assert _fetch_tls(url, trusting).title == "Baking sourdough bread"
        for other, context in ((url, None), (f"https://other.example:{site.port}/bread", trusting)):
            with pytest.raises(FetchError) as caught:
                _fetch_tls(other, context)
            assert (caught.value.code, caught.value.retryable) == ("tls_failed", False)


def _fetch_tls(url: str, context: ssl.SSLContext | None) -> Page:
    async def names(host: str, port: int) -> list[IPAddress]:
        return [IPv4Address("127.0.0.1")]

    async def run() -> Page:
        guard = AddressGuard(["127.0.0.1"], resolver=names)
        connections = GuardedConnections(GuardedBackend(guard), limit=2, ssl_context=context)
        fetcher = GuardedFetcher(guard, connections=connections)
        try:
            return await fetcher.fetch(url, mode="auto")
        finally:
            await fetcher.close()

    return asyncio.run(run())
