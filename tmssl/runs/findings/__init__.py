"""Events of a run -> findings: what a person should be told, with advice."""
