"""Neighbours -> figures beside their chance levels, and the matches behind them."""
