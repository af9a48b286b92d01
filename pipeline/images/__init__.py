"""Pictures from the web: fetched with img2dataset, every request guarded, every URL accounted for."""
