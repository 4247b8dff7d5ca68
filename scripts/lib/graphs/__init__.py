"""Network files: their family, inputs and outputs, class names and operators."""
