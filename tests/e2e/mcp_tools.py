"""A tiny MCP server on standard input and output, with one tool; run by the proxy as a script.

Written out, not made with the `mcp` package, whose server classes differ between the releases' versions.
"""

import json
import sys

TOOL = {
    "name": "look_up",
    "description": "Looks something up.",
    "inputSchema": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
}


def answer(method: str, params: dict) -> dict | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "tools", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": f"found {params['arguments']['x']}"}], "isError": False}
    return {} if method == "ping" else None


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        body = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown method"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}), flush=True)


if __name__ == "__main__":
    main()
