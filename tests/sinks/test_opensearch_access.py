"""Who asks, and whom: signatures that a server works out anew, certificates that are verified."""

import datetime as dt
import gzip
import hashlib
import hmac
import ipaddress
import logging
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import NoCredentials, Refusal, Signing, ask, bulk, connect
from sinks.retry import Transient
from sinks.sink import Stopped
from tests.sinks.made import NOON, batch, scored
from tests.sinks.scripted_node import actions_of, ours, taken

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "made-up/token=="


class Asked:
    """Every request of a server: method, path as sent, headers in lower case, body."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body


class Server:
    """Takes what `allows` allows, and answers as a node of ours does."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.allows = lambda _: True
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._take(b"")

            def do_POST(self) -> None:
                self._take(self.rfile.read(int(self.headers["content-length"])))

            def _take(self, body: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                server.asked.append(asked)
                plain = gzip.decompress(body) if "content-encoding" in headers else body
                answer = taken(actions_of(plain)) if body else ours(self.path)
                if not server.allows(asked):
                    answer = 403, b'{"message":"The request signature does not match"}'
                status, data = answer or (503, b"")
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        scheme = "http" if context is None else "https"
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.end()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def signature(asked: Asked, service: str, region: str, secret: str = SECRET) -> str:
    """Signature version 4, worked out from what arrived, by AWS's description of it."""
    authorization = asked.headers["authorization"]
    signed = authorization.split("SignedHeaders=", 1)[1].split(",", 1)[0].split(";")
    parts = urlsplit(asked.path)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    canonical = "\n".join(
        (
            asked.method,
            quote(parts.path, safe="/~"),
            "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in query),
            *(f"{name}:{' '.join(asked.headers[name].split())}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(asked.body).hexdigest(),
        )
    )
    at = asked.headers["x-amz-date"]
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def botocores(asked: Asked, service: str, region: str, url: str) -> str:
    """The same, as botocore works it out."""
    signed = asked.headers["authorization"].split("SignedHeaders=", 1)[1].split(",", 1)[0]
    headers = {name: asked.headers[name] for name in signed.split(";")}
    request = AWSRequest(asked.method, url + asked.path, headers=headers, data=asked.body)
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(KEY, SECRET, TOKEN), service, region)
    made: str = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    return made


@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.usefixtures("credentials")
def test_every_request_is_signed_so_that_a_server_can_work_it_out(
    server: Server, service: str
) -> None:
    def right(asked: Asked) -> bool:
        return asked.headers["authorization"].endswith(
            f"Signature={signature(asked, service, 'eu-north-1')}"
        )

    server.allows = right
    client = connect(server.url, signing=Signing(service, "eu-north-1"))
    sink = OpenSearchSink(client, threading.Event(), clock=lambda: NOON)
    made = batch(*(scored(n, reason="Größe *(~)") for n in range(50)))
    assert sink.write(made).rejections == ()
    assert ask(client, "GET", "/transactions-2026.01.05,pages-*", params={"q": "x+y=ä/*,~"})
    sink.close()
    assert len(server.asked) == 3
    assert {right(asked) for asked in server.asked} == {True}
    for asked in server.asked:
        assert f"Credential={KEY}/" in asked.headers["authorization"]
        assert f"/eu-north-1/{service}/aws4_request" in asked.headers["authorization"]
        assert asked.headers["x-amz-security-token"] == TOKEN
        assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(asked.body).hexdigest()
        assert SECRET not in str(asked.headers)
    bulk = next(asked for asked in server.asked if asked.method == "POST")
    assert signature(bulk, service, "eu-north-1") == botocores(
        bulk, service, "eu-north-1", server.url
    )


@pytest.mark.usefixtures("credentials")
def test_a_compressed_body_is_signed_as_it_is_sent(server: Server) -> None:
    server.allows = lambda asked: asked.headers["authorization"].endswith(
        signature(asked, "es", "eu-west-1")
    )
    client = connect(server.url, signing=Signing("es", "eu-west-1"), http_compress=True)
    made = b'{"index":{"_index":"x","_id":"1"}}\n{"a":1}\n' * 200
    assert bulk(client, made)
    (asked,) = server.asked
    assert asked.headers["content-encoding"] == "gzip"
    assert server.allows(asked)


@pytest.mark.usefixtures("credentials")
def test_a_wrong_signature_is_waited_out_and_said(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    server.allows = lambda asked: asked.headers["authorization"].endswith(
        signature(asked, "es", "eu-west-1", secret="another")
    )
    client = connect(server.url, signing=Signing("es", "eu-west-1"))
    sink = OpenSearchSink(client, stop, count_retry=lambda _: stop.set(), wait_seconds_max=0.001)
    with caplog.at_level(logging.WARNING), pytest.raises(Stopped):
        sink.write(batch(scored(1)))
    assert "The request signature does not match" in caplog.text
    assert SECRET not in caplog.text
    with pytest.raises(Refusal, match="does not match"):
        ask(client, "GET", "/x")
    sink.close()


def test_without_credentials_nothing_is_sent(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(NoCredentials, match="give this process a role"):
        connect(server.url, signing=Signing("es", "eu-west-1"))
    assert server.asked == []


def test_user_and_password_go_along_where_they_are_set_and_nothing_else(server: Server) -> None:
    ask(connect(server.url, "u", "p"), "GET", "/verdicts")
    ask(connect(server.url), "GET", "/verdicts")
    assert [asked.headers.get("authorization") for asked in server.asked] == ["Basic dTpw", None]


class Authority:
    """An authority of our own, and certificates by it."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self.file = folder / "authority.pem"
        self.folder = folder
        made = self._signed(self.name, self.key, [], is_authority=True, days=30)
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: x509.GeneralName, days: int = 30) -> ssl.SSLContext:
        """What a server with a certificate for `names` serves with."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a node")])
        made = self._signed(subject, key, list(names), is_authority=False, days=days)
        file = self.folder / f"node-{days}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, subject: x509.Name, key: Any, names: list[Any], *, is_authority: bool, days: int
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=90))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if is_authority:
            usage = x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def test_a_certificate_is_taken_by_its_authority_and_by_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = Server(authority.context(LOOPBACK))
    try:
        client = connect(server.url, "u", "p", ca_bundle=authority.file)
        assert ask(client, "GET", "/verdicts")
        with pytest.raises(Transient, match=r"not trusted here.*TILLWATCH_OPENSEARCH_CA_BUNDLE"):
            ask(connect(server.url, "u", "p"), "GET", "/verdicts")
        assert len(server.asked) == 1, "no password left for a server that is not trusted"
    finally:
        server.end()


@pytest.mark.parametrize(
    ("name", "days", "words"),
    [
        (x509.DNSName("elsewhere.example"), 30, "for another host name"),
        (LOOPBACK, -1, "have the certificate renewed"),
    ],
)
def test_a_certificate_of_another_name_or_time_is_none(
    tmp_path: Path, name: x509.GeneralName, days: int, words: str
) -> None:
    authority = Authority(tmp_path)
    server = Server(authority.context(name, days=days))
    try:
        client = connect(server.url, "u", "p", ca_bundle=authority.file)
        with pytest.raises(Transient, match=words):
            ask(client, "GET", "/verdicts")
        assert server.asked == []
    finally:
        server.end()


def test_https_to_what_speaks_http_is_said(server: Server) -> None:
    with pytest.raises(Transient, match="is it https at all"):
        ask(connect(f"https://127.0.0.1:{server.port}"), "GET", "/verdicts")
