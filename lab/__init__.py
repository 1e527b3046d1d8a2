"""What the tests, the demo and the benches share: a stand-in provider, Redis, the proxy, and their
clients.
"""
