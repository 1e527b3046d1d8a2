"""The published schema of responses and of their streams, as a bridged model's replies are to have it.

After OpenAI's API reference and the OpenResponses schema of 2026-04. Further fields may be there; of those here, each
must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError

from .client import Reply

Status = Literal["in_progress", "completed", "incomplete"]
Number = int | float


class Object(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class OutputText(Object):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]


class Refusal(Object):
    type: Literal["refusal"]
    refusal: str


class ReasoningText(Object):
    type: Literal["reasoning_text"]
    text: str


class SummaryText(Object):
    type: Literal["summary_text"]
    text: str


class Message(Object):
    type: Literal["message"]
    id: str
    status: Status
    role: Literal["user", "assistant", "system", "developer"]
    content: list[OutputText | Refusal]
    phase: Literal["commentary", "final_answer"] = "final_answer"


class FunctionCall(Object):
    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: Status


class Reasoning(Object):
    type: Literal["reasoning"]
    id: str
    summary: list[SummaryText]
    encrypted_content: str = ""


class Compaction(Object):
    type: Literal["compaction"]
    id: str
    encrypted_content: str


class OtherItem(Object):
    type: str
    id: str


def _kind(known: Sequence[str]) -> Any:
    return lambda value: kind if isinstance(value, dict) and (kind := value.get("type")) in known else "other"


_ITEMS = ("message", "function_call", "reasoning", "compaction")
Item = Annotated[
    Annotated[Message, Tag("message")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[Reasoning, Tag("reasoning")]
    | Annotated[Compaction, Tag("compaction")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_kind(_ITEMS)),
]


class Begun(Object):
    """An item that is not done: its text and its summary may be yet to come."""

    type: str
    id: str


class FunctionTool(Object):
    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class OtherTool(Object):
    type: str


Tool = Annotated[
    Annotated[FunctionTool, Tag("function")] | Annotated[OtherTool, Tag("other")], Discriminator(_kind(("function",)))
]


class Format(Object):
    type: Literal["text", "json_object", "json_schema"]


class Text(Object):
    format: Format


class Effort(Object):
    effort: str | None
    summary: str | None


class InputDetails(Object):
    cached_tokens: int


class OutputDetails(Object):
    reasoning_tokens: int


class Usage(Object):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails
    output_tokens_details: OutputDetails


class Failure(Object):
    code: str
    message: str


class Reason(Object):
    reason: str


class Response(Object):
    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"]
    incomplete_details: Reason | None
    model: str
    previous_response_id: str | None
    instructions: str | list[dict[str, Any]] | None
    output: list[Item]
    error: Failure | None
    tools: list[Tool]
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any]
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: Text
    top_p: Number
    presence_penalty: Number
    frequency_penalty: Number
    top_logprobs: int
    temperature: Number
    reasoning: Effort | None
    user: str | None
    usage: Usage | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: str
    metadata: dict[str, Any]
    safety_identifier: str | None
    prompt_cache_key: str | None


class Event(Object):
    type: str
    sequence_number: int


class WithResponse(Event):
    response: Response


class Added(Event):
    output_index: int
    item: Begun


class Done(Event):
    output_index: int
    item: Item


class Part(Event):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | Refusal | ReasoningText


class TextDelta(Event):
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[dict[str, Any]]


class TextDone(Event):
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[dict[str, Any]]


class SummaryDelta(Event):
    item_id: str
    output_index: int
    summary_index: int
    delta: str


class SummaryDone(Event):
    item_id: str
    output_index: int
    summary_index: int
    text: str


class SummaryPart(Event):
    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class ArgumentsDelta(Event):
    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(Event):
    item_id: str
    output_index: int
    arguments: str


_WITH_RESPONSE = ("created", "queued", "in_progress", "completed", "incomplete", "failed")
EVENTS: dict[str, type[Event]] = {
    **{f"response.{name}": WithResponse for name in _WITH_RESPONSE},
    "response.output_item.added": Added,
    "response.output_item.done": Done,
    "response.content_part.added": Part,
    "response.content_part.done": Part,
    "response.output_text.delta": TextDelta,
    "response.output_text.done": TextDone,
    "response.reasoning_summary_part.added": SummaryPart,
    "response.reasoning_summary_part.done": SummaryPart,
    "response.reasoning_summary_text.delta": SummaryDelta,
    "response.reasoning_summary_text.done": SummaryDone,
    "response.function_call_arguments.delta": ArgumentsDelta,
    "response.function_call_arguments.done": ArgumentsDone,
}


def faults_in(reply: Reply) -> list[str]:
    """Where a reply that is no error has another shape, as "path: what is wrong"."""
    if not reply.events:
        return _faults(Response, reply.body, "response")
    faults = []
    for number, event in enumerate(reply.events):
        if "type" in event:
            faults += _faults(EVENTS.get(event["type"], Event), event, event["type"])
            if event.get("sequence_number") != number:
                faults.append(f"{event['type']}: number {event.get('sequence_number')}, the stream's {number}th")
    return faults


def _faults(model: type[Object], value: Any, name: str) -> list[str]:
    try:
        TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        return [f"{'.'.join(map(str, (name, *each['loc'])))}: {each['msg']}" for each in error.errors()]
    return []
