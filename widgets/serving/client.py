"""A kernel's client that waits for what it needs to hear, and no longer."""

from __future__ import annotations

import time
from queue import Empty

from jupyter_client.asynchronous.client import AsyncKernelClient

LISTEN_S = 0.1
"""A kernel that has not been heard for so long is asked again: what it says before one listens is lost."""


class PromptClient(AsyncKernelClient):
    """Knows that a kernel is ready by its own words; jupyter_client's waits a fifth of a second for its silence."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Until the kernel has answered a question and been heard to do so, with all that it said before.

        Raises ``RuntimeError`` where it ends instead, or does not answer within ``timeout`` seconds.
        """
        end = time.monotonic() + (timeout or float("inf"))
        while not await self._answers_and_is_heard():
            if not await self.is_alive():
                raise RuntimeError("The kernel has ended before it was ready.")
            if time.monotonic() > end:
                raise RuntimeError(f"The kernel was not ready within {timeout} seconds.")

    async def _answers_and_is_heard(self) -> bool:
        question = self.kernel_info()
        try:
            while not await self._is_done_with(question):
                pass
            await self._recv_reply(question, timeout=1)
        except (Empty, TimeoutError):
            return False
        return True

    async def _is_done_with(self, question: str) -> bool:
        """Take the next that it broadcasts."""
        told = await self.get_iopub_msg(timeout=LISTEN_S)
        return told["parent_header"].get("msg_id") == question and told["content"].get("execution_state") == "idle"
