"""Play: the environment, its scenarios, the scripted production agent and the demo's traffic."""
