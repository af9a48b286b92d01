"""The recipe's section ``filter``."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from pipeline.recipe_file import Count, ListName, Section

Number = Annotated[StrictInt, Field(ge=0)]
Distance = Annotated[StrictInt, Field(ge=0, le=16)]
PRESETS = {
    "align": {"min_side": 201, "max_aspect": 3.0, "texts_per_image": 1000, "images_per_text": 10},
    "datacomp-basic": {"min_side": 200, "max_aspect": 3.0, "min_words": 3, "min_characters": 6},
}


class EvaluationSet(Section):
    """Images (folders, tars, lists of hashes) and texts that must not be trained on."""

    images: list[StrictStr] = Field(default_factory=list)
    texts: list[StrictStr] = Field(default_factory=list)


class Filter(Section):
    """Which of the curated pairs stay: rules for texts and images, duplicates, block-lists, evaluation sets."""

    preset: Literal["align", "datacomp-basic"] | None = None
    min_side: Number = 0
    max_aspect: Annotated[float, Field(gt=1)] | None = None
    texts_per_image: Count | None = None
    images_per_text: Count | None = None
    min_words: Number = 0
    min_characters: Number = 0
    exact_duplicates: StrictBool = False
    near_duplicates: Distance | None = None
    keep_per_cluster: Count = 1
    blocklist: dict[ListName, StrictStr] = Field(default_factory=dict)
    evaluation: dict[ListName, EvaluationSet] = Field(default_factory=dict)
    evaluation_distance: Distance = 4
    columns: list[StrictStr] = Field(default_factory=list)
    where: StrictStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given):
        known = PRESETS.get(given.get("preset"), {}) if isinstance(given, dict) else {}
        return known | given if known else given

    @model_validator(mode="after")
    def _condition(self):
        if self.columns and self.where is None:
            raise ValueError("columns are for the condition where, found none")
        return self

    def looks(self) -> bool:
        """Whether a rule asks for what is in an image."""
        images = any(found.images for found in self.evaluation.values())
        sides = self.min_side or self.max_aspect is not None
        return bool(sides or self.exact_duplicates or self.near_duplicates is not None or images)
