"""The requests that the server takes: OpenAI's chat completions (the part that fits) and tasks."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Text = Annotated[str, Field(min_length=1)]


class ImageUrl(BaseModel):
    model_config = ConfigDict(extra="ignore")
    url: str


class ContentPart(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: ImageUrl | None = None


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "user", "assistant"]
    content: str | list[ContentPart]


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What changes the answer is obeyed or refused, never ignored; bookkeeping fields are let pass."""

    model_config = ConfigDict(extra="ignore")
    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = Field(0, ge=-(2**63), lt=2**63)
    n: Literal[1] = 1
    stop: Text | list[Text] | None = None
    tools: None = None
    tool_choice: None = None
    functions: None = None
    response_format: None = None
    logprobs: Literal[False] | None = None
    logit_bias: None = None
    frequency_penalty: float | None = Field(None, ge=0, le=0)
    presence_penalty: float | None = Field(None, ge=0, le=0)

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class TaskRequest(BaseModel):
    """`images`: data URLs or plain base64 of DICOM, PNG or JPEG, the series of one examination in order."""

    model_config = ConfigDict(extra="forbid")
    sections: dict[str, str] = {}
    question: str | None = None
    options: list[Text] = []
    images: list[str] = []
    language: Literal["zh", "en"] = "zh"
    max_tokens: int | None = Field(None, ge=1)

    @field_validator("options")
    @classmethod
    def _differ(cls, options: list[str]) -> list[str]:
        if len(set(options)) < len(options):
            raise ValueError("the options must differ")
        return options


class ApiError(Exception):
    """Becomes OpenAI's error object with this status."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def body(self) -> dict[str, Any]:
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
