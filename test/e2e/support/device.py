"""A device written from the protocol's description alone, in Python, to show that the description is enough.

Reads one JSON command a line from standard input (`state`, `close`), writes one JSON line for each event and answer.
Usage: device.py URL DEVICE_ID ACCESS_TOKEN
"""

import asyncio
import json
import sys

import websockets


class Device:
    def __init__(self, url: str, device_id: str, token: str) -> None:
        self.url = url.replace("http", "ws", 1) + "/v1/connect"
        self.device_id = device_id
        self.token = token
        self.space = ""
        self.position: dict | None = None
        self.events: list[dict] = []
        self.texts: dict[str, str] = {}
        self.tokens: dict[str, int] = {}

    def hello(self) -> str:
        frame = {
            "type": "hello",
            "v": 1,
            "token": self.token,
            "device": {"id": self.device_id, "platform": "python"},
        }
        if self.position is not None:
            frame["streams"] = [{"space": self.space, **self.position}]
        return json.dumps(frame)

    def apply(self, frame: dict) -> None:
        kind = frame["type"]
        if kind == "welcome":
            stream = frame["streams"][0]
            self.space = stream["space"]
            if self.position is None:
                self.position = {"epoch": stream["epoch"], "offset": stream["offset"]}
            say({"welcome": True})
        elif kind == "event" and frame["space"] == self.space:
            event = frame["event"]
            self.events.append({"offset": frame["offset"], "event": event})
            self.position = {"epoch": frame["epoch"], "offset": frame["offset"], "lastId": event["id"]}
            if event["type"] in ("message.completed", "turn.cancelled", "turn.failed"):
                self.texts[event["data"]["messageId"]] = event["data"]["text"]
            say({"event": event, "offset": frame["offset"]})
        elif kind == "token":
            message_id = frame["messageId"]
            self.tokens[message_id] = self.tokens.get(message_id, 0) + 1
            have = self.texts.get(message_id, "")
            # Python strings count code points, as `from` does.
            if len(have) >= frame["from"]:
                self.texts[message_id] = have[: frame["from"]] + frame["text"]

    async def run(self) -> None:
        while True:
            try:
                async with websockets.connect(self.url, max_size=1_000_000) as socket:
                    await socket.send(self.hello())
                    async for message in socket:
                        self.apply(json.loads(message))
            except (OSError, websockets.exceptions.WebSocketException):
                pass
            await asyncio.sleep(0.2)


def say(line: dict) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main() -> None:
    device = Device(*sys.argv[1:4])
    running = asyncio.create_task(device.run())
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip() == b"state":
            say({"state": {"events": device.events, "texts": device.texts, "tokens": device.tokens}})
        else:
            break
    running.cancel()


asyncio.run(main())
