"""The words in the pictures of marks, read by optical character recognition, with their boxes."""
