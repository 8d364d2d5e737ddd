"""Settings of the baseline: Channels with the layer in `BENCH_LAYER`, and nothing else."""

import os

SECRET_KEY = "benchmark"
USE_TZ = True
DATABASES: dict[str, object] = {}
CHANNEL_LAYERS = {
    "default": {
        "core": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]], "capacity": 100_000},
        },
        "pubsub": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
        },
    }[os.environ["BENCH_LAYER"]]
}
