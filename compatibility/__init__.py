"""Which LiteLLM releases the fork fits: the wheels (`python -m compatibility`) and running proxies
(`python -m compatibility.live`)."""
