"""What container formats say besides their packets: tables, fragments, edit lists, encryption, their ends."""
