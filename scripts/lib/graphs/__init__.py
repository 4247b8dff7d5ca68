"""What a network's file is: its family, class names and operators."""
