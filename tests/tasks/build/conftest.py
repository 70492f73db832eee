"""One conversation written as each logger writes it, for what is built of every format."""

import json
from collections.abc import Callable
from typing import Any

import pytest

GIVEN = {"query": "select 'é'", "limit": None}
TEXT = json.dumps(GIVEN)
CALL = {"id": "c1", "type": "function", "function": {"name": "run_sql", "arguments": TEXT}}
TOOLS = [{"type": "function", "function": {"name": "run_sql", "parameters": {}}}]
SYSTEM = {"role": "system", "content": "Be brief."}
ACTED = {"role": "assistant", "content": "I look.", "tool_calls": [CALL]}
SEEN = {"role": "tool", "tool_call_id": "c1", "content": "3"}


def asked(question: str) -> dict[str, Any]:
    return {"role": "user", "content": question}


def said(answer: str) -> dict[str, Any]:
    return {"role": "assistant", "content": answer}


def messages(question: str, answer: str, **thought: str) -> list[dict[str, Any]]:
    return [SYSTEM, asked(question), ACTED | thought, SEEN, said(answer)]


def agent_lightning(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    def event(kind: str, at: float, **data: Any) -> dict[str, Any]:
        about = {"rollout_id": name, "attempt_id": "0", "timestamp": at}
        return {"event_type": kind, **about, "data": data}

    def call(at: float, before: list[Any], message: dict[str, Any]) -> dict[str, Any]:
        request = {"model": "m", "messages": before}
        return event("model_request", at, request=request, response={
            "id": f"{name}{at}", "choices": [{"message": message, "finish_reason": "stop"}],
        })  # fmt: skip

    whole = messages(question, answer)
    return [call(1.0, whole[:2], ACTED), call(2.0, whole[:4], whole[4])]


def art(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    def choice(message: dict[str, Any]) -> dict[str, Any]:
        return {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}

    turns = [SYSTEM, asked(question), choice(ACTED), SEEN, choice(said(answer))]
    return [{
        "messages_and_choices": turns, "tools": TOOLS, "metrics": {}, "metadata": {},
        "reward": float(answer == "right"),
    }]  # fmt: skip


def atif(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    steps = [
        {"source": "system", "message": "Be brief."},
        {"source": "user", "message": question},
        {
            "source": "agent", "message": "I look.", "reasoning_content": "Is it there?",
            "tool_calls": [
                {"tool_call_id": "c1", "function_name": "run_sql", "arguments": GIVEN}
            ],
            "observation": {"results": [{"source_call_id": "c1", "content": "3"}]},
        },
        {"source": "agent", "message": answer},
    ]  # fmt: skip
    return [{
        "schema_version": "ATIF-v1.6", "session_id": name,
        "agent": {"name": "a", "version": "1", "model_name": "m"},
        "steps": [{"step_id": n, **step} for n, step in enumerate(steps, 1)],
    }]  # fmt: skip


def flywheel_request(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    whole = messages(question, answer)
    return [
        {
            "timestamp": 1715854074 + at, "workload_id": "w", "client_id": name,
            "request": {"model": "m", "messages": whole[:at]},
            "response": {"id": f"{name}{at}", "choices": [{"index": 0, "message": whole[at]}]},
        }
        for at in (2, 4)
    ]  # fmt: skip


def inspect_ai(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": "run_sql", "arguments": GIVEN}
    content = [
        {"type": "reasoning", "reasoning": "Is it there?"},
        {"type": "text", "text": "I look."},
    ]
    turns = [
        SYSTEM, asked(question), {"role": "assistant", "content": content, "tool_calls": [call]},
        SEEN | {"function": "run_sql"}, said(answer),
    ]  # fmt: skip
    about = {"task": "t", "model": "m", "eval_id": name, "run_id": "r"}
    sample = {"id": name, "epoch": 1, "messages": turns, "uuid": name}
    return [{
        "version": 2, "status": "success", "eval": about, "plan": {"name": "p"},
        "results": {"scores": []}, "stats": {}, "samples": [sample],
    }]  # fmt: skip


def intercode(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    reward = float(answer == "right")
    history = {
        "actions": ["execute[select 'é']", "submit"], "observations": ["3", answer],
        "rewards": [0.0, reward], "thoughts": ["Is it there?", answer],
    }  # fmt: skip
    return [{
        "environment": "ic_sql", "task_id": 7, "query": question,
        "turn_history": history, "summary": {"max_reward": reward},
    }]  # fmt: skip


def langfuse(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    whole = messages(question, answer)
    calls = [
        {
            "id": f"{name}{at}", "traceId": name, "type": "GENERATION", "name": "chat",
            "startTime": f"2026-01-01T00:00:0{at}Z", "endTime": f"2026-01-01T00:00:0{at + 1}Z",
            "model": "m", "input": {"messages": whole[:at], "tools": TOOLS}, "output": whole[at],
        }
        for at in (2, 4)
    ]  # fmt: skip
    trace = {"id": name, "name": "n", "timestamp": "2026-01-01T00:00:00Z", "scores": []}
    return [{"trace": trace, "observations": calls}]


def mlflow_trace(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    whole = messages(question, answer)

    def span(at: int, kind: str, **attributes: Any) -> dict[str, Any]:
        told = {"mlflow.spanType": json.dumps(kind)}
        told |= {f"mlflow.{key}": json.dumps(value) for key, value in attributes.items()}
        return {
            "trace_id": "x", "span_id": f"s{at}", "parent_span_id": "s0" if at else None,
            "name": f"n{at}", "start_time_unix_nano": 10**18 + at * 10**9, "attributes": told,
            "end_time_unix_nano": 10**18 + (at + 1) * 10**9, "events": [],
            "status": {"code": "STATUS_CODE_OK", "message": ""},
        }  # fmt: skip

    spans = [span(0, "AGENT", spanInputs={"q": question}, spanOutputs=answer)]
    spans += [
        span(
            at, "CHAT_MODEL", spanInputs={"messages": whole[:at], "tools": TOOLS},
            spanOutputs={"choices": [{"message": whole[at]}]},
        )
        for at in (2, 4)
    ]  # fmt: skip
    info = {"trace_id": name, "request_time": "2026-01-01T00:00:00Z", "state": "OK"}
    return [{"info": info | {"trace_metadata": {}, "tags": {}}, "data": {"spans": spans}}]


def openai_chat(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    whole = messages(question, answer, reasoning_content="Is it there?")
    return [{"id": name, "messages": whole, "tools": TOOLS, "model": "m"}]


def openhands(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    about = {"tool_call_id": "c1", "function_name": "run_sql"}
    about["model_response"] = {"id": "r", "model": "m", "choices": [{"message": ACTED}]}  # type: ignore[assignment]
    history = [
        {"source": "user", "action": "message", "args": {"content": question}},
        {"source": "agent", "action": "run", "args": {}, "tool_call_metadata": about},
        {"source": "environment", "observation": "run", "content": "3", "extras": {"exit_code": 0}},
        {"source": "agent", "action": "message", "args": {"content": answer}},
    ]
    return [{
        "instance_id": name, "instruction": question, "history": history, "test_result": {},
        "metrics": {},
    }]  # fmt: skip


def otel_genai(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    def text(role: str, content: str) -> dict[str, Any]:
        return {"role": role, "parts": [{"type": "text", "content": content}]}

    call = {"type": "tool_call", "id": "c1", "name": "run_sql", "arguments": GIVEN}
    came = {"type": "tool_call_response", "id": "c1", "response": "3"}
    acted = text("assistant", "I look.")
    acted["parts"].append(call)
    whole = [
        text("system", "Be brief."), text("user", question), acted,
        {"role": "tool", "parts": [came]}, text("assistant", answer),
    ]  # fmt: skip
    return [
        {
            "name": "chat m", "trace_id": name, "span_id": f"m{at}", "parent_id": None,
            "start_time": f"2026-01-01T00:00:0{at}Z", "end_time": f"2026-01-01T00:00:0{at}Z",
            "attributes": {
                "gen_ai.operation.name": "chat", "gen_ai.response.model": "m",
                "gen_ai.input.messages": whole[:at], "gen_ai.output.messages": [whole[at]],
                "gen_ai.conversation.id": name,
            },
        }
        for at in (2, 4)
    ]  # fmt: skip


def session_trace(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "c1", "name": "run_sql", "input": GIVEN}
    came = {"type": "tool_result", "tool_use_id": "c1", "content": "3"}
    thought = {"type": "thinking", "thinking": "Is it there?", "signature": "x"}
    turns: list[tuple[str, Any, dict[str, Any]]] = [
        ("user", question, {}),
        ("assistant", [thought], {"id": "m1", "model": "m"}),
        ("assistant", [{"type": "text", "text": "I look."}], {"id": "m1", "model": "m"}),
        ("assistant", [use], {"id": "m1", "model": "m"}),
        ("user", [came], {}),
        ("assistant", answer, {"id": "m2", "model": "m", "stop_reason": "end_turn"}),
    ]
    return [
        {
            "type": role, "sessionId": name, "uuid": f"{name}{at}", "cwd": "/w", "version": "2.0",
            "timestamp": f"2026-01-01T00:00:0{at}Z",
            "message": {"role": role, "content": content, **about},
        }
        for at, (role, content, about) in enumerate(turns)
    ]  # fmt: skip


def tau2_bench(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    call = {"id": "1", "name": "run_sql", "arguments": GIVEN, "requestor": "assistant"}
    own = {"id": "2", "name": "toggle", "arguments": {}, "requestor": "user"}
    turns = [
        said("Hi!"), asked(question),
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "id": "1", "content": "3", "requestor": "assistant", "error": False},
        said("Toggle it."),
        {"role": "user", "content": None, "tool_calls": [own]},
        {"role": "tool", "id": "2", "content": "no", "requestor": "user", "error": False},
        asked("It fails."), said(answer),
    ]  # fmt: skip
    world = {"domain_name": "d", "policy": "Be brief.", "tool_defs": TOOLS}
    info = {"environment_info": world, "agent_info": {"implementation": "a", "llm": "m"}}
    simulation = {"id": name, "task_id": "t", "trial": 0, "termination_reason": "user_stop"}
    simulation |= {"reward_info": None, "messages": turns}
    return [{"info": info, "tasks": [{"id": "t"}], "simulations": [simulation]}]


def tau_bench(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    whole = messages(question, answer)
    reward = float(answer == "right")
    return [{"task_id": 0, "reward": reward, "trial": 1, "info": {}, "traj": whole}]


def tensorzero(name: str, question: str, answer: str) -> list[dict[str, Any]]:
    ask = {"role": "user", "content": [{"type": "text", "text": question}]}
    look = {"type": "text", "text": "I look."}
    call = {"type": "tool_call", "id": "c1", "name": "run_sql", "arguments": GIVEN}
    call |= {"raw_name": "run_sql", "raw_arguments": TEXT}
    again = {"type": "tool_call", "id": "c1", "name": "run_sql", "arguments": TEXT}
    came = {"type": "tool_result", "id": "c1", "name": "run_sql", "result": "3"}
    thought = {"type": "thought", "text": "Is it there?"}
    acted = {"role": "assistant", "content": [look, again]}
    history = [ask, acted, {"role": "user", "content": [came]}]
    begun = int(sum(name.encode()))
    return [
        {
            "id": f"0190a0a0-0{at}00-7000-8000-{begun:012}", "function_name": "f",
            "variant_name": "v", "episode_id": f"0190a0a0-0000-7000-8000-{begun:012}",
            "input": {"system": "Be brief.", "messages": before}, "output": output, "tags": {},
        }
        for at, (before, output) in enumerate(
            [([ask], [thought, look, call]), (history, [{"type": "text", "text": answer}])]
        )
    ]  # fmt: skip


FORMATS: dict[str, Callable[[str, str, str], list[dict[str, Any]]]] = {
    one.__name__: one
    for one in (
        agent_lightning, art, atif, flywheel_request, inspect_ai, intercode, langfuse, mlflow_trace,
        openai_chat, openhands, otel_genai, session_trace, tau2_bench, tau_bench, tensorzero,
    )
}  # fmt: skip


@pytest.fixture(scope="session")
def written() -> dict[str, Callable[[str, str, str], list[dict[str, Any]]]]:
    """Give for each format what writes its records: of a name, a question and an answer."""
    return FORMATS
