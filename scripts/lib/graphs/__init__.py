"""Network files: their family, class names and operators."""
