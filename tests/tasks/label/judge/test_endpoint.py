"""An endpoint that is slow, busy, broken or refuses costs a bounded time and never the night."""

import socket
import time
from email.utils import formatdate

import httpx
import pytest

from schemas.errors import ConfigurationError
from schemas.label_config import JudgeConfig
from tasks.label.judge.endpoint import Endpoint, _retry_after

TEXTS = ["agent: right", "agent: wrong"]


def yes():
    return True


def ask(config, times=1, spend=yes):
    with Endpoint(config) as endpoint:
        replies = [endpoint.ask(TEXTS, spend) for _ in range(times)]
        return replies[-1], endpoint.stopped


def test_it_is_asked_as_openai_is_and_answers_in_the_order_shown(serve, asking):
    server = serve()
    reply, _ = ask(asking(server))
    assert reply == ([0.9, 0.2], "", 1, 10)
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.attempts == TEXTS
    body = asked.body
    assert (body["model"], body["temperature"]) == ("m", 0)
    assert body["response_format"] == {"type": "json_object"}
    assert "Authorization" not in asked.headers


def test_a_key_in_the_environment_is_sent(serve, asking, monkeypatch):
    server = serve()
    monkeypatch.setenv("FLYWHEEL_JUDGE_API_KEY", "k-1\n")
    ask(asking(server))
    assert server.asked[0].headers["Authorization"] == "Bearer k-1"


def test_two_failures_of_the_server_are_tried_again(serve, asking):
    def answer(request, number):
        return (500, {}, "oops") if number < 3 else (200, {}, [1, 0])

    reply, stopped = ask(asking(serve(answer)))
    assert reply == ([1, 0], "", 3, 10)
    assert stopped is None


def test_retries_end_and_take_from_the_budget(serve, asking):
    server = serve(lambda request, number: (503, {}, ""))
    assert ask(asking(server, retries=1))[0] == (None, "HTTP 503", 2, 0)
    assert ask(asking(server), spend=lambda: False)[0] == (None, "HTTP 503", 1, 0)
    assert len(server.asked) == 3


def test_retry_after_is_waited_for(serve, asking):
    def answer(request, number):
        return (429, {"Retry-After": "1"}, "") if number == 1 else (200, {}, [1, 0])

    began = time.monotonic()
    assert ask(asking(serve(answer)))[0].scores == [1, 0]
    assert time.monotonic() - began >= 1


def test_retry_after_may_be_a_date_or_nonsense():
    assert _retry_after(httpx.Headers({"Retry-After": "7"})) == 7
    assert _retry_after(httpx.Headers({"Retry-After": "-7"})) == 0
    assert _retry_after(httpx.Headers({"Retry-After": "soon"})) == 0
    assert _retry_after(httpx.Headers({})) == 0
    later = formatdate(time.time() + 30, usegmt=True)
    assert 25 < _retry_after(httpx.Headers({"Retry-After": later})) <= 30
    assert _retry_after(httpx.Headers({"Retry-After": formatdate(0, usegmt=True)})) == 0


def test_a_slow_answer_is_not_waited_for(serve, asking):
    def answer(request, number):
        time.sleep(0.4)
        return 200, {}, [1, 0]

    reply, _ = ask(asking(serve(answer), timeout_s=0.1, retries=0))
    assert reply == (None, "the endpoint did not answer within 0.1 s", 1, 0)


def test_an_answer_that_drips_is_not_waited_for_either():
    # Each byte comes in time; all of them would take a hundred seconds.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        import threading

        ended = threading.Event()

        def drip():
            connection, _ = listening.accept()
            with connection:
                connection.recv(100_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        config = JudgeConfig(use="endpoint", base_url=url, model="m", timeout_s=0.2, retries=0)
        began = time.monotonic()
        reply, _ = ask(config)
        ended.set()
        thread.join()
    assert reply.reason == "the endpoint did not answer within 0.2 s"
    assert time.monotonic() - began < 2


def test_nobody_at_the_address_is_said_and_given_up_after_three_questions():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    config = JudgeConfig(use="endpoint", base_url=url, model="m", retries=0)
    assert ask(config, times=2)[1] is None
    assert ask(config, times=3)[1] == "the endpoint cannot be reached (ConnectError)"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_a_refusal_is_not_tried_again(serve, asking, status):
    server = serve(lambda request, number: (status, {}, "no"))
    reply, stopped = ask(asking(server), times=3)
    assert reply.scores is None
    assert reply.reason.startswith(f"HTTP {status}")
    assert stopped == reply.reason
    assert len(server.asked) == 3


def test_what_an_endpoint_cannot_be_told_is_left_out(serve, asking):
    def answer(request, number):
        for name in ("response_format", "temperature"):
            if name in request.body:
                return 400, {}, f'{{"error": {{"message": "unsupported: {name}"}}}}'
        return 200, {}, [1, 0]

    server = serve(answer)
    with Endpoint(asking(server, retries=0)) as endpoint:
        assert endpoint.ask(TEXTS, yes) == ([1, 0], "", 3, 10)
        assert endpoint.ask(TEXTS, yes).sent == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("the first is better", "the answer is not the JSON asked for"),
        ('{"scores": [1, 0, 1]}', "the answer has the wrong number of scores"),
        ('{"scores": [7, 0]}', "the answer's scores are not numbers in [0, 1]"),
        (None, "the answer is not the JSON asked for"),
    ],
)
def test_an_answer_that_cannot_be_used_abstains_and_its_tokens_count(
    serve, asking, completed, said, reason
):
    server = serve(lambda request, number: (200, {}, completed(said)))
    reply, stopped = ask(asking(server), times=4)
    assert reply == (None, reason, 1, 10)
    assert stopped is None


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"choices": []}', '{"choices": [{}]}'])
def test_what_is_no_completion_abstains(serve, asking, body):
    reply, _ = ask(asking(serve(lambda request, number: (200, {}, body))))
    assert reply.scores is None
    assert reply.reason


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "m"}, "base_url is not set"),
        ({"base_url": "http://127.0.0.1/v1"}, "model is not set"),
        ({"model": "m", "base_url": "127.0.0.1:80"}, "base_url is no address"),
        ({"model": "m", "base_url": "file:///etc"}, "base_url is no address"),
    ],
)
def test_an_endpoint_without_address_or_model_is_refused(keys, message):
    with pytest.raises(ConfigurationError, match=message):
        Endpoint(JudgeConfig(use="endpoint", **keys))


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("FLYWHEEL_JUDGE_API_KEY", "secret\nX: 1")
    with pytest.raises(ConfigurationError, match="characters that no key has") as refused:
        Endpoint(JudgeConfig(use="endpoint", base_url="http://127.0.0.1/v1", model="m"))
    assert "secret" not in str(refused.value)
