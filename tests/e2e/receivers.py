"""What finished recordings are told and given to: a receiver of webhooks, and an S3-compatible server."""

import hashlib
import hmac
import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading

from server import BINARY, HOST, free_port, wait_until

BUCKET, ACCESS_KEY, SECRET_KEY = "bucket", "key", "s3cret-of-the-storage"

# `cargo test` builds it with the tests: recorder/shelf/examples/storage.rs.
STORAGE = pathlib.Path(os.environ.get("MIXMINUS_STORAGE", BINARY.parents[1] / "debug/examples/storage"))


class Webhook:
    """A receiver of webhooks, on a port of its own from the start, at which it may listen later."""

    def __init__(self, secret="s3cret-of-the-hook"):
        self.secret = secret
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}/hook"
        self.messages = []
        self.unsigned = 0
        self.http = None

    def settings(self):
        return {"urls": [self.url], "secret": self.secret}

    def start(self):
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.take(body, self.headers.get("X-Mixminus-Signature"))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = http.server.HTTPServer((HOST, self.port), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def take(self, body, signature):
        own = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        self.unsigned += signature != own
        message = json.loads(body)
        # What was being sent when the server stopped is sent again.
        if message not in self.messages:
            self.messages.append(message)

    def stop(self):
        if self.http:
            self.http.shutdown()
            self.http.server_close()
            self.http = None

    def events(self, recording):
        """What was told of a recording, in order."""
        return [message["event"] for message in self.messages if message["recording"] == recording]

    def wait_for(self, recording, event, seconds=60):
        """The first message of this kind."""
        of_it = lambda message: (message["recording"], message["event"]) == (recording, event)
        found = lambda: next(filter(of_it, self.messages), None)
        return wait_until(found, f"{event} is told of {recording}", seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Storage:
    """An S3-compatible server, at an address that is known before it is there."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mixminus-storage-")
        self.bucket = pathlib.Path(self.folder.name, BUCKET)
        self.bucket.mkdir()
        self.address = f"{HOST}:{free_port()}"
        self.process = None

    def settings(self, **more):
        return {"endpoint": f"http://{self.address}", "bucket": BUCKET, "prefix": "calls", "access_key": ACCESS_KEY,
                "secret_key": SECRET_KEY, **more}

    def start(self):
        if not STORAGE.exists():
            raise AssertionError(f"{STORAGE} is missing: cargo build -p recorder-shelf --example storage")
        self.process = subprocess.Popen([STORAGE, self.address, self.folder.name, ACCESS_KEY, SECRET_KEY], stdin=subprocess.DEVNULL)

    def objects(self):
        """The contents of all objects by their names."""
        files = [path for path in self.bucket.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {str(path.relative_to(self.bucket)): path.read_bytes() for path in files}

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()
