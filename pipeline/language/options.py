"""What a recipe says of languages."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictStr, model_validator

from pipeline.recipe_file import Section


class Language(Section):
    """How the language of a text is known, and which are kept."""

    identify: Literal["fasttext", "column", "none"] = "fasttext"
    model: StrictStr = "lid.176"
    clean: Literal["none", "lower", "letters"] = "letters"
    page_language: Literal["ignore", "prior"] = "ignore"
    match_first: StrictBool = False
    keep: list[StrictStr] = Field(default_factory=list)
    threshold: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0

    @model_validator(mode="after")
    def _match_first(self):
        if self.match_first and self.identify != "fasttext":
            raise ValueError(f"match_first: is for identify fasttext, found {self.identify}")
        if self.match_first and self.page_language == "prior":
            raise ValueError("match_first: a text has one language, so page_language must be ignore, found prior")
        return self

    def told(self) -> dict[str, Any]:
        """What the language of a text depends on, by key."""
        of_models = set() if self.identify == "fasttext" else {"model", "clean", "page_language", "match_first"}
        return self.model_dump(exclude=of_models)
