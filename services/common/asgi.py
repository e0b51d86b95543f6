"""What is used of uvicorn. Its command line, which no service has, is imported when somebody asks for it."""

from flstore_core.postponed import postponed

with postponed("uvicorn.main", "Server", "main", "run"):
    from uvicorn.config import Config
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
    from uvicorn.server import Server

__all__ = ["Config", "HttpToolsProtocol", "RequestResponseCycle", "Server"]
