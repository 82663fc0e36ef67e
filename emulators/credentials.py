"""A service account for the local platform, so that every Google client authenticates as it does on Google Cloud.

The key file names a token endpoint on loopback, served here, that hands out a token to anyone: `python -m
emulators.credentials PORT`. Clients find the file by GOOGLE_APPLICATION_CREDENTIALS and need no branch of their own.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def write_key(path: Path, token_host: str) -> None:
    """Write a service-account file to `path` whose tokens come from `token_host`, unless it is there."""
    token_uri = f"{token_host}/token"
    if path.exists() and json.loads(path.read_text())["token_uri"] == token_uri:
        return
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "local-project",
        "private_key_id": "local",
        "private_key": key.decode(),
        "client_email": "local@local-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(account))


class Token(BaseHTTPRequestHandler):
    """Answers every request with the same access token."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """The OAuth token exchange."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps({"access_token": "local", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args: object) -> None:
        """Stay quiet: a line a token would say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Token).serve_forever()
