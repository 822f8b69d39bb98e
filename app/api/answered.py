"""What is known of an answer while it is sent."""

from starlette.types import Message, Send


class Answered:
    """Passes on what is sent; `status` is that of the answer, 0 until it begins."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
