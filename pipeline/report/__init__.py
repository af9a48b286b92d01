"""What a finished output tells of itself: its README, and plots of the distribution of entries."""
