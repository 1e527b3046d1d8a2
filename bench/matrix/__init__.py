"""Which LiteLLM releases the fork fits: the wheels (`python -m bench.matrix`) and running proxies
(`python -m bench.matrix.live`)."""
