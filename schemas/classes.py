"""The imperfections that the service tells apart, numbered as ISO 6520-1 numbers them."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BACKGROUND = 0
"""Mask value of a pixel that shows no imperfection."""


class DefectClass(BaseModel):
    """One kind of imperfection.

    Attributes
    ----------
    code : int
        Reference number, by default of ISO 6520-1:2007.
    name : str
        Name shown to people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[int, Field(gt=0)]
    name: Annotated[str, Field(min_length=1)]


ISO_6520_1 = (
    DefectClass(code=100, name="crack"),
    DefectClass(code=2011, name="gas pore"),
    DefectClass(code=300, name="solid inclusion"),
    DefectClass(code=401, name="lack of fusion"),
    DefectClass(code=402, name="incomplete penetration"),
)


class ClassTable(BaseModel):
    """The ordered classes of a deployment: mask value ``i`` means ``classes[i - 1]``, 0 is background."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[tuple[DefectClass, ...], Field(min_length=1, max_length=254)] = ISO_6520_1

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        if len({c.code for c in self.classes}) != len(self.classes):
            msg = "defect class codes must be unique"
            raise ValueError(msg)
        return self

    @property
    def codes(self) -> tuple[int, ...]:
        """Codes in mask order, without the background."""
        return tuple(c.code for c in self.classes)

    def __len__(self) -> int:
        """Return the number of mask values, the background included."""
        return len(self.classes) + 1

    def index(self, code: int) -> int:
        """Return the mask value of a class code.

        Raises
        ------
        ValueError
            If no class has this code.
        """
        return self.codes.index(code) + 1

    def __getitem__(self, value: int) -> DefectClass:
        """Return the class that a mask value above 0 means."""
        if value < 1:
            msg = f"mask value {value} is no defect class"
            raise IndexError(msg)
        return self.classes[value - 1]
