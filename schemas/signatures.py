"""Who vouches for an entry of the model registry."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Signature(BaseModel):
    """An Ed25519 signature.

    Attributes
    ----------
    key_id : str
        The first 16 hexadecimal digits of the sha256 of the public key's 32 bytes.
    value : str
        The 64 bytes, as hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    value: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
