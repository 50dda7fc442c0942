"""The screens of a search: a logo of the disk, rectangles of it, and the marks that it resembles."""
