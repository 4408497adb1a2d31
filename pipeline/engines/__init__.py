"""Engines: where the videos are worked on. `local` is this process, `processes` several, `ray` a cluster.

driver -- Order --> worker: loads the networks
       <-- Ready --
       -- Source --> claims the video, extracts it as a run of its own would
       <-- Outcome --
"""

from pipeline.engines.options import LOCAL, EngineOptions

__all__ = ["LOCAL", "EngineOptions"]
