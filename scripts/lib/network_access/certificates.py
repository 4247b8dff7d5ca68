"""Check files with trusted certificates before they are used."""

import ssl
from pathlib import Path

from scripts.lib.errors import SettingsError


def check_certificates(file: Path, setting: str) -> None:
    """Check that a file has certificates in PEM format; OpenSSL's error would look like one of the connection.

    Args:
        file: the file that the user named.
        setting: the setting with this file, for the message.

    Raises:
        SettingsError: there is no such file, it cannot be read, or it has none.
    """
    if not file.is_file():
        raise SettingsError(f"{setting}: {file} is not a file; expected certificates in PEM format")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError as error:
        raise SettingsError(
            f"{setting}: {file} has no usable certificates in PEM format ({error.reason or 'damaged'}); export them "
            "again, or convert them: openssl x509 -inform DER -in FILE -out FILE.pem"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{setting}: {file} cannot be read ({error.strerror}); give this user the right to read it"
        ) from None
