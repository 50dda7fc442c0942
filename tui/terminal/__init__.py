"""What the app asks of the terminal: driver, bytes sent, ASCII, notifications."""
