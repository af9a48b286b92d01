"""Groups of terms, such as those of genders, ages, regions and occupations: how often a set's texts name them."""
