"""Output to the terminal: the driver, the cells that are sent, ASCII, notifications."""
