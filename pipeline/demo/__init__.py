"""The demo's pool: real pictures and names in 14 languages, made from two packages, without a download."""
