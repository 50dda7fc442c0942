"""Several processes that train one model: joined, and watched by one another."""
