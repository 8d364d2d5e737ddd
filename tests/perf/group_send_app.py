"""
The usual way to send quotes with Channels, as the baseline of the fan-out figure: a consumer per socket in
one group per symbol, `channel_layer.group_send` per quote. Without authentication or markup, text encoded
by the sender.
"""

import os
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer

CAPACITY = 100_000  # far above what is ever waiting, so that nothing is dropped


def make_layer(kind: str, url: str) -> Any:
    """Return a Redis channel layer: `core` (lists) or `pubsub`."""
    if kind == "core":
        from channels_redis.core import RedisChannelLayer

        return RedisChannelLayer(hosts=[url], capacity=CAPACITY)
    from channels_redis.pubsub import RedisPubSubChannelLayer

    return RedisPubSubChannelLayer(hosts=[url])


def group_name(symbol: str) -> str:
    """Return the group of a symbol."""
    return f"quotes.{symbol}"


class GroupConsumer(AsyncWebsocketConsumer):
    """Joins the group of every symbol and passes texts on: Channels as its documentation shows it."""

    async def connect(self) -> None:
        """Join the groups."""
        for symbol in os.environ["BENCH_SYMBOLS"].split(","):
            await self.channel_layer.group_add(group_name(symbol), self.channel_name)
        await self.accept()
        await self.send(text_data='{"ok":true}')

    async def quote_text(self, event: dict[str, str]) -> None:
        """Pass a quote on."""
        await self.send(text_data=event["text"])


django.setup()
application = GroupConsumer.as_asgi()
