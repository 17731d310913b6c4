"""The engine: reads a definition, runs it, keeps its verdicts, timers and journal. Knows nothing of networks."""
