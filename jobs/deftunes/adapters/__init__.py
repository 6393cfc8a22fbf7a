"""The only users of SDKs: each module wraps one outside system behind a small class or protocol."""
