"""A chat-completions server on this machine that answers by what it reads, and small episodes."""

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from schemas.label_config import JudgeConfig

ATTEMPT = re.compile(r"BEGIN ATTEMPT (\d+) (\w+)\n(.*?)\nEND ATTEMPT \1 \2", re.DOTALL)


class Asked:
    """One request as the server got it."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.text = body["messages"][-1]["content"]
        self.attempts = [found[2] for found in ATTEMPT.findall(self.text)]


class Server:
    """A real server; `answer` is told a request and its number, and gives (status, headers, body).

    A body that is a list becomes a completion with these scores.
    """

    def __init__(self, answer):
        self.asked: list[Asked] = []
        self.answer = answer
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request = Asked(self.path, self.headers, body)
                with lock:
                    server.asked.append(request)
                    number = len(server.asked)
                status, headers, told = server.answer(request, number)
                sent = (completion(told) if isinstance(told, list) else told).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *told):
                pass

            def handle(self):
                with suppress(ConnectionError):  # a client that waits no longer
                    super().handle()

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def close(self):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def completion(scores, tokens=10):
    content = json.dumps({"why": "so", "scores": scores})
    return completion_of(content, tokens)


def completion_of(content, tokens=10):
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"message": message}], "usage": {"total_tokens": tokens}})


def fair(request, number):
    """Answer by what each attempt says last, wherever it stands."""
    return 200, {}, [0.9 if "agent: right" in text else 0.2 for text in request.attempts]


@pytest.fixture
def serve(monkeypatch):
    """Start a server that answers so; it is stopped after the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("FLYWHEEL_JUDGE_API_KEY", raising=False)
    servers = []

    def start(answer: Callable = fair) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def asking():
    """Configure an endpoint for a server."""

    def make(server, **keys) -> JudgeConfig:
        return JudgeConfig(use="endpoint", base_url=server.url, model="m", **keys)

    return make


@pytest.fixture
def completed():
    """Write the body of a completion that says this, and how many tokens it took."""
    return completion_of


@pytest.fixture
def episode():
    """Make a row: a question, calls as (query, result, failed), an answer or None."""

    def make(answer, calls=(), question="how many?"):
        messages = [{"role": "user", "content": question}]
        for query, result, failed in calls:
            call = {"id": "c", "name": "run_sql", "arguments": query, "malformed": False}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "content": result, "error": failed})
        if answer is not None:
            messages.append({"role": "assistant", "content": answer, "tool_calls": []})
        return {"messages": messages}

    return make


@pytest.fixture
def pairs(episode):
    """Make groups of a right and a wrong answer: their positions, and how to read them."""

    def make(count):
        def read(rows):
            told = [("wrong" if row % 2 else "right", row // 2) for row in rows.tolist()]
            return [episode(f"{how} about {number}") for how, number in told]

        return [np.array([2 * n, 2 * n + 1]) for n in range(count)], read

    return make
