"""From boxes of single frames to tracks of animals."""
