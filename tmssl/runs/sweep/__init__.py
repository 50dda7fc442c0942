"""A sweep: several runs that differ in a few settings, planned in a TOML file and compared at the end."""
