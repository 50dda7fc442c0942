"""The MoCo v3 trainer."""
