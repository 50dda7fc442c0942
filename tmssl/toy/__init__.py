"""Toy trademarks with true Vienna codes, composed from OpenMoji drawings, shapes and lettering."""
