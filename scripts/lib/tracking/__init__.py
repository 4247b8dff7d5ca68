"""Join boxes of single frames into tracks of animals."""
