"""Read YAML; all faults raise the same type of error."""

from typing import Any

import yaml

# The largest text from others: PyYAML takes about ten seconds for it.
LARGEST_FROM_OTHERS = 2**19


def parse(text: str) -> Any:
    """Return the content of a YAML text.

    Raises:
        ValueError: the text is not YAML, has a value that Python cannot represent, or is nested too deeply.
    """
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # PyYAML raises any of these for a value such as `2020-13-40` or `!!int x`.
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def parse_from_others(text: str) -> Any:
    """Return the content of a YAML text that comes with a network: small, and without aliases.

    With aliases a few lines can expand to billions of values.

    Raises:
        ValueError: as for `parse`, or the text is too large, or has an alias.
    """
    if len(text) > LARGEST_FROM_OTHERS:
        raise ValueError(f"it has {len(text)} characters, expected at most {LARGEST_FROM_OTHERS}")
    found = parse(text)
    names = [event.anchor for event in yaml.parse(text, yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)]
    if names:
        raise ValueError(f"it has the alias {str(names[0])[:100]!r}, expected none")
    return found
