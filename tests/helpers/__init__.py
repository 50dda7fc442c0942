"""What tests share: marks, runs, screens, terminals."""
