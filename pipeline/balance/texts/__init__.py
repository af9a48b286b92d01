"""The texts of an image, told apart by ids alone: one of them chosen, or how many they are."""
