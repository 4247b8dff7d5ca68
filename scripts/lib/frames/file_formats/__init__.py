"""Read parts of container formats other than packets: tables, fragments, edit lists, encryption, the file's end."""
