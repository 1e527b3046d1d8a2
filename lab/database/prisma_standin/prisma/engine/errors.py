"""The engine error names that LiteLLM asks about."""

from ..errors import PrismaError


class EngineError(PrismaError):
    pass


class EngineConnectionError(EngineError):
    pass


class BinaryNotFoundError(EngineError):
    pass


class MismatchedVersionsError(EngineError):
    pass


class EngineRequestError(EngineError):
    pass
