"""
Webhook deliveries as HubSpot sends them: signed (v3), over at most ten connections, closed loop. Every tenth
is a repeat of one that was accepted, every tenth is signed but six minutes old.

Runs as its own process (`python -m tests.perf.webhook_load`): reads one JSON object from its input, prints
one. It imports nothing of RTX.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from collections import Counter
from typing import Any

import uvloop

HOST = "127.0.0.1"
STALE_MS = 360_000
CUSTOMERS = 200


class Sender:
    """One keep-alive connection that carries one request at a time."""

    def __init__(self, plan: dict[str, Any], number: int, counts: Counter[str]) -> None:
        self.plan, self.number, self.counts = plan, number, counts
        self.made = 0
        self.accepted: list[bytes] = []
        self.latencies_ms: list[float] = []

    async def run(self, begins_at: float, ends_at: float) -> None:
        """Send until the end; answers before `begins_at` warm up and are not measured."""
        reader, writer = await asyncio.open_connection(HOST, self.plan["port"])
        while (now := time.perf_counter()) < ends_at:
            kind, request = self._next()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
            await reader.readexactly(int(length or 0))
            took_ms = (time.perf_counter() - now) * 1000
            status = head[9:12].decode()
            if status != ("401" if kind == "stale" else "204"):
                self.counts[f"{kind} answered {status}"] += 1
                continue
            self.counts[kind] += 1
            if kind == "new":
                self.accepted.append(request)
            if now >= begins_at:
                self.counts[f"measured {kind}"] += 1
                self.latencies_ms.append(took_ms)
        writer.close()

    def _next(self) -> tuple[str, bytes]:
        self.made += 1
        place = self.made % 10
        if place == 3 and self.accepted:
            return "repeat", self.accepted[self.made * 7919 % len(self.accepted)]
        if place == 7:
            return "stale", self._signed(time.time_ns() // 1_000_000 - STALE_MS)
        return "new", self._signed(time.time_ns() // 1_000_000)

    def _signed(self, stamp_ms: int) -> bytes:
        event = {
            "eventId": self.number * 10_000_000 + self.made,
            "subscriptionId": 1,
            "portalId": int(self.plan["portal"]),
            "appId": 7,
            "occurredAt": stamp_ms,
            "subscriptionType": "contact.propertyChange",
            "attemptNumber": 0,
            "objectId": 1 + self.made % CUSTOMERS,
            "propertyName": "phone",
            "propertyValue": "+49 170 5550123",
            "changeSource": "CRM_UI",
        }
        body = json.dumps([event]).encode()
        signed = b"POST" + self.plan["uri"].encode() + body + str(stamp_ms).encode()
        proof = base64.b64encode(
            hmac.new(self.plan["secret"].encode(), signed, hashlib.sha256).digest()
        ).decode()
        head = (
            f"POST {self.plan['path']} HTTP/1.1\r\nHost: {HOST}:{self.plan['port']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-HubSpot-Signature-v3: {proof}\r\nX-HubSpot-Request-Timestamp: {stamp_ms}\r\n\r\n"
        )
        return head.encode() + body


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Send for a while and sum up."""
    counts: Counter[str] = Counter()
    senders = [Sender(plan, number, counts) for number in range(1, plan["connections"] + 1)]
    begins_at = time.perf_counter() + plan["warmup_s"]
    ends_at = begins_at + plan["seconds"]
    await asyncio.gather(*(sender.run(begins_at, ends_at) for sender in senders))
    took = sorted(ms for sender in senders for ms in sender.latencies_ms)
    return {
        "counts": dict(counts),
        "per_s": len(took) / plan["seconds"],
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[int(len(took) * 0.99)],
        "max_ms": took[-1],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
