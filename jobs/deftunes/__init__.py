"""DeFtunes data platform: one sub-package per stage, one module per entity; `cli` is the edge."""
